//! The requests by which objects are read.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use google_cloud_storage::Error as SdkError;
use google_cloud_storage::model_ext::ReadRange;
use google_cloud_storage::read_object::ReadObjectResponse;
use rustwren_core::storage::remote::Opened;

use super::GcsStorage;
use crate::error::{Cause, Failure};

pub(super) type Pieces = BoxStream<'static, Result<Bytes, SdkError>>;

impl GcsStorage {
    /// Asks once for a range that is not empty, and waits until the answer begins.
    pub(super) async fn open_range(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> Result<Opened<Pieces>, Failure> {
        let version = version.and_then(Version::parse);
        let mut renewed = false;
        let body = loop {
            let part = ReadRange::segment(range.start, range.end - range.start);
            let mut request = self.client.read_object(self.names.resource(), object).set_read_range(part);
            if let Some(version) = &version {
                request = request.set_if_generation_match(version.generation);
            }
            let number = self.credentials.number();
            let failure = match request.send().await {
                Ok(body) => break body,
                Err(error) => Failure::of(&error),
            };
            if !self.renewed(&failure, number, &mut renewed) {
                return Err(self.what_is_missing(failure).await);
            }
        };
        let said = body.object();
        if version.is_some_and(|version| version.generation != said.generation) {
            // Not all servers know the condition.
            return Err(replaced());
        }
        let size = match u64::try_from(said.size) {
            Ok(size) if size > 0 => size,
            _ => self.size_of(object, said.generation).await?,
        };
        let checksum = said.checksums.and_then(|checksums| checksums.crc32c);
        let version = Version { generation: said.generation, checksum };
        Ok(Opened {
            // The crate refuses an answer of another length than it says.
            range: range.start..range.end.min(size),
            size,
            version: Some(version.to_text()),
            modified: None,
            body: pieces(body),
        })
    }

    /// The size of this version of an object, of servers that do not say it beside the content. One request, not tried
    /// again: it is part of one that is.
    async fn size_of(&self, object: &str, generation: i64) -> Result<u64, Failure> {
        let known = self.ask_once_about(object).await?;
        match known.generation() {
            Some(now) if now != generation => Err(replaced()),
            _ => known.size(),
        }
    }
}

/// What tells one version of an object from another, and whether it arrived whole.
struct Version {
    generation: i64,
    checksum: Option<u32>,
}

impl Version {
    /// `generation`, or `generation/checksum`.
    fn parse(text: &str) -> Option<Self> {
        let (generation, checksum) = match text.split_once('/') {
            Some((generation, checksum)) => (generation, Some(checksum.parse().ok()?)),
            None => (text, None),
        };
        Some(Self { generation: generation.parse().ok()?, checksum })
    }

    fn to_text(&self) -> String {
        match self.checksum {
            Some(checksum) => format!("{}/{checksum}", self.generation),
            None => self.generation.to_string(),
        }
    }
}

/// Whether all of an object has the checksum that its version tells, where it tells one.
pub(super) fn check(whole: &Bytes, version: Option<&str>) -> Result<(), Failure> {
    match version.and_then(Version::parse).and_then(|version| version.checksum) {
        Some(checksum) if crc32c::crc32c(whole) != checksum => {
            Err(Failure::ours(Cause::Broken, "what arrived has another checksum than the object"))
        }
        _ => Ok(()),
    }
}

/// What the service would have answered to a condition that it does not know.
fn replaced() -> Failure {
    Failure { status: Some(412), ..Failure::ours(Cause::Refused, "another version has taken its place") }
}

/// The pieces of a body, as they come.
fn pieces(body: ReadObjectResponse) -> Pieces {
    stream::unfold(body, |mut body| async { Some((body.next().await?, body)) }).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_hold_checksums() {
        for text in ["17", "17/0", "1700000000000000/4294967295"] {
            assert_eq!(Version::parse(text).map(|version| version.to_text()).as_deref(), Some(text));
        }
        assert!(Version::parse("x").is_none() && Version::parse("1/x").is_none());
        let version = format!("1/{}", crc32c::crc32c(b"whole"));
        assert!(check(&Bytes::from_static(b"whole"), Some(&version)).is_ok());
        assert!(check(&Bytes::from_static(b"whale"), Some(&version)).is_err());
        assert!(check(&Bytes::from_static(b"whale"), Some("1")).is_ok());
    }
}

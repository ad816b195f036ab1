//! The requests by which objects are read.

use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::byte_stream::error::Error as ByteStreamError;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rustwren_core::storage::remote::{Opened, content_range};

use super::S3Storage;
use super::head::modified;
use crate::error::{Cause, Failure};

pub(super) type Pieces = BoxStream<'static, Result<Bytes, ByteStreamError>>;

impl S3Storage {
    /// Asks for a range that is not empty, and waits until the answer begins.
    pub(super) async fn open_range(
        &self,
        object: &str,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Opened<Pieces>, Failure> {
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.client.get_object().bucket(&self.names.bucket).key(object).range(asked);
        let answer = request.set_if_match(etag.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| Failure::of(&error))?;
        let (got, size) = match &answer.content_range {
            Some(text) => {
                content_range(text).filter(|(got, _)| got.start == range.start && got.end <= range.end)
            }
            // All of it, where the service does not know ranges.
            None => answer
                .content_length
                .and_then(|len| u64::try_from(len).ok())
                .filter(|&len| range.start == 0 && len <= range.end)
                .map(|len| (0..len, len)),
        }
        .ok_or_else(|| {
            let got = answer.content_range.as_deref().unwrap_or("all of it");
            Failure::ours(Cause::Broken, format!("asked for {range:?} and got {got}"))
        })?;
        Ok(Opened {
            range: got,
            size,
            version: answer.e_tag,
            modified: modified(answer.last_modified),
            body: pieces(answer.body),
        })
    }
}

/// The pieces of a body, as they come.
fn pieces(body: ByteStream) -> Pieces {
    stream::unfold(body, |mut body| async { Some((body.next().await?, body)) }).boxed()
}

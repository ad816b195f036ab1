//! Reading: a first part, whose answer tells size and version, and the others beside it, all of that version.

use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::byte_stream::error::Error as ByteStreamError;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::{Unreceived, join, receive, slots, whole};
use rustwren_core::storage::{Key, StorageResult, cut_range};

use super::S3Storage;
use super::errors::{self, Operation, is_past_the_end, is_unmet};
use crate::error::{Cause, Failure, chain};

/// How often an object may be replaced while it is read.
const REPLACED: usize = 8;

/// No object is so large; what asks for more asks for the end.
const LARGEST_OBJECT: u64 = 1 << 50;

/// A part of an object whose answer has begun.
pub(super) struct Opened {
    /// Where it lies in the object.
    range: Range<u64>,
    /// The size of the whole object.
    pub(super) size: u64,
    /// Its version.
    etag: Option<String>,
    pub(super) modified: Option<aws_sdk_s3::primitives::DateTime>,
    body: ByteStream,
}

enum First {
    All(Bytes),
    Begun(Opened),
}

enum Outcome {
    Read(Bytes),
    /// The range starts where the object ends, or later.
    PastTheEnd,
    /// Another version has taken its place.
    Replaced,
}

impl S3Storage {
    /// Reads a range that is not empty. All of it is of one version of the object.
    pub(super) async fn read(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let object = self.names.object(key.as_str());
        for _ in 0..REPLACED {
            let outcome = self.read_once(&object, &range).await;
            match outcome
                .map_err(|failure| errors::error(failure, &self.names, Operation::Read, key.as_str()))?
            {
                Outcome::Read(bytes) => return Ok(bytes),
                Outcome::PastTheEnd if range.start == 0 => return Ok(Bytes::new()),
                Outcome::PastTheEnd => {
                    // S3 does not say where the end is.
                    let size = self.meta(key).await?.size;
                    if cut_range(key, &range, size)?.is_empty() {
                        return Ok(Bytes::new());
                    }
                }
                Outcome::Replaced => {}
            }
        }
        let location = self.names.location(key.as_str());
        Err(BackendError::new(
            ErrorClass::Transient,
            format!("{location} is replaced faster than it can be read"),
        ))
    }

    async fn read_once(&self, object: &str, range: &Range<u64>) -> Result<Outcome, Failure> {
        if range.start >= LARGEST_OBJECT {
            return Ok(Outcome::PastTheEnd);
        }
        let end = range.end.min(range.start + self.part_size);
        let opened = match self.first(object, range, range.start..end).await {
            Ok(First::All(bytes)) => return Ok(Outcome::Read(bytes)),
            Ok(First::Begun(opened)) => opened,
            Err(failure) if is_past_the_end(&failure) => return Ok(Outcome::PastTheEnd),
            Err(failure) => return Err(failure),
        };
        match self.rest(object, opened, range.end).await {
            Ok(bytes) => Ok(Outcome::Read(bytes)),
            Err(failure) if is_unmet(&failure) => Ok(Outcome::Replaced),
            Err(failure) => Err(failure),
        }
    }

    /// Opens the first part of a range; where it is all of it, reads it at once.
    async fn first(&self, object: &str, range: &Range<u64>, part: Range<u64>) -> Result<First, Failure> {
        let mut tries = self.tries();
        loop {
            let attempt = async {
                let opened = self.ask(object, part.clone(), None).await?;
                if opened.range.end < range.end.min(opened.size) {
                    return Ok(First::Begun(opened));
                }
                let len = (opened.range.end - opened.range.start) as usize;
                whole(pieces(opened.body), len).await.map(First::All).map_err(unreceived)
            };
            match tries.run(self.part_size, attempt).await {
                Ok(first) => return Ok(first),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// Reads what has been opened and all that follows up to `end`.
    async fn rest(&self, object: &str, opened: Opened, end: u64) -> Result<Bytes, Failure> {
        let Opened { range: first, size, etag, body, .. } = opened;
        let mut ranges = vec![first];
        let mut next = ranges[0].end;
        while next < end.min(size) {
            let part = next..end.min(size).min(next + self.part_size);
            next = part.end;
            ranges.push(part);
        }
        let memory = slots(ranges.iter().map(|range| (range.end - range.start) as usize));
        let mut begun = Some(body);
        let etag = etag.as_deref();
        let parts = ranges
            .into_iter()
            .zip(memory)
            .map(|(range, slot)| self.fill(object, range, slot, etag, begun.take()));
        let parts: Vec<_> = parts.collect();
        let filled: Vec<BytesMut> = stream::iter(parts).buffered(self.parallel).try_collect().await?;
        Ok(join(filled))
    }

    /// Reads one part into its slot, from an answer that has begun where there is one.
    async fn fill(
        &self,
        object: &str,
        range: Range<u64>,
        mut slot: BytesMut,
        etag: Option<&str>,
        mut begun: Option<ByteStream>,
    ) -> Result<BytesMut, Failure> {
        let len = range.end - range.start;
        let mut tries = self.tries();
        loop {
            slot.clear();
            let begun = begun.take();
            let attempt = async {
                let body = match begun {
                    Some(body) => body,
                    None => self.ask(object, range.clone(), etag).await?.body,
                };
                receive(pieces(body), &mut slot, len as usize).await.map_err(unreceived)
            };
            match tries.run(len, attempt).await {
                Ok(()) => return Ok(slot),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// Asks for a range that is not empty, and waits until the answer begins.
    pub(super) async fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Opened, Failure> {
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
        Ok(Opened { range: got, size, etag: answer.e_tag, modified: answer.last_modified, body: answer.body })
    }
}

/// The pieces of a body, as they come.
fn pieces(body: ByteStream) -> impl Stream<Item = Result<Bytes, ByteStreamError>> + Send + Unpin {
    Box::pin(stream::unfold(body, |mut body| async { Some((body.next().await?, body)) }))
}

fn unreceived(problem: Unreceived<ByteStreamError>) -> Failure {
    let message = match problem {
        Unreceived::Broken(error) => chain(&error),
        Unreceived::Length(message) => message,
    };
    Failure::ours(Cause::Broken, message)
}

/// `bytes 0-9/20`: a range and the size of the whole.
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then_some((first..last + 1, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-9/20"), Some((0..10, 20)));
        assert_eq!(content_range("bytes 19-19/20"), Some((19..20, 20)));
        for wrong in
            ["", "bytes */20", "bytes 0-9/*", "bytes 5-4/20", "bytes 0-20/20", "0-9/20", "bytes -1-2/20"]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}

//! Reading: a first part, whose answer tells size and version, and the others beside it, all of that version.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use google_cloud_storage::Error as SdkError;
use google_cloud_storage::model_ext::ReadRange;
use google_cloud_storage::read_object::ReadObjectResponse;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::{Unreceived, join, receive, slots, whole};
use rustwren_core::storage::{Key, StorageResult, cut_range};

use super::GcsStorage;
use super::errors::{Operation, is_past_the_end, is_unmet};
use crate::error::{Cause, Failure};

/// How often an object may be replaced while it is read.
const REPLACED: usize = 8;

/// No object is so large; what asks for more asks for the end.
const LARGEST_OBJECT: u64 = 1 << 50;

/// A part of an object whose answer has begun.
struct Opened {
    /// The size of the whole object, where the answer says so.
    size: Option<u64>,
    /// Its version.
    generation: i64,
    /// The checksum of the whole object.
    checksum: Option<u32>,
    body: ReadObjectResponse,
}

enum First {
    All(Bytes),
    /// There is more than this part of it.
    Begun(Range<u64>, u64, Opened),
}

enum Outcome {
    Read(Bytes),
    /// The range starts where the object ends, or later.
    PastTheEnd,
    /// Another version has taken its place.
    Replaced,
}

impl GcsStorage {
    /// Reads a range that is not empty. All of it is of one version of the object.
    pub(super) async fn read(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let object = self.names.object(key.as_str());
        for _ in 0..REPLACED {
            let outcome = match self.read_once(&object, &range).await {
                Ok(outcome) => outcome,
                Err(failure) => return Err(self.error_of_object(failure, Operation::Read, key).await),
            };
            match outcome {
                Outcome::Read(bytes) => return Ok(bytes),
                Outcome::PastTheEnd if range.start == 0 => return Ok(Bytes::new()),
                Outcome::PastTheEnd => {
                    // The answer does not say where the end is.
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
        let read = match self.first(object, range, range.start..end).await {
            Ok(First::All(bytes)) => return Ok(Outcome::Read(bytes)),
            Ok(First::Begun(part, end, opened)) => self.rest(object, part, end, opened).await,
            Err(failure) => Err(failure),
        };
        match read {
            Ok(bytes) => Ok(Outcome::Read(bytes)),
            Err(failure) if is_past_the_end(&failure) => Ok(Outcome::PastTheEnd),
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
                let size = match opened.size {
                    Some(size) => size,
                    None => self.size_of(object, opened.generation).await?,
                };
                let end = range.end.min(size);
                if part.end < end {
                    return Ok(First::Begun(part.clone(), end, opened));
                }
                let len = end.saturating_sub(part.start) as usize;
                let bytes = whole(pieces(opened.body), len).await.map_err(unreceived)?;
                if part.start == 0 && end == size {
                    check(&bytes, opened.checksum)?;
                }
                Ok(First::All(bytes))
            };
            match tries.run(self.part_size, attempt).await {
                Ok(first) => return Ok(first),
                Err(failure) if is_unmet(&failure) => return Err(failure),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// The size of this version of an object, of servers that do not say it beside the content.
    async fn size_of(&self, object: &str, generation: i64) -> Result<u64, Failure> {
        let known = self.known(object).await?;
        match known.generation() {
            Some(now) if now != generation => Err(replaced()),
            _ => known.size(),
        }
    }

    /// Reads what has been opened and all that follows up to `end`.
    async fn rest(
        &self,
        object: &str,
        first: Range<u64>,
        end: u64,
        opened: Opened,
    ) -> Result<Bytes, Failure> {
        let Opened { size, generation, checksum, body } = opened;
        let is_whole = first.start == 0 && size == Some(end);
        let mut ranges = vec![first];
        let mut next = ranges[0].end;
        while next < end {
            let part = next..end.min(next + self.part_size);
            next = part.end;
            ranges.push(part);
        }
        let memory = slots(ranges.iter().map(|range| (range.end - range.start) as usize));
        let mut begun = Some(body);
        let parts = ranges
            .into_iter()
            .zip(memory)
            .map(|(range, slot)| self.fill(object, range, slot, generation, begun.take()));
        let parts: Vec<_> = parts.collect();
        let filled: Vec<BytesMut> = stream::iter(parts).buffered(self.parallel).try_collect().await?;
        let bytes = join(filled);
        if is_whole {
            check(&bytes, checksum)?;
        }
        Ok(bytes)
    }

    /// Reads one part into its slot, from an answer that has begun where there is one.
    async fn fill(
        &self,
        object: &str,
        range: Range<u64>,
        mut slot: BytesMut,
        generation: i64,
        mut begun: Option<ReadObjectResponse>,
    ) -> Result<BytesMut, Failure> {
        let len = range.end - range.start;
        let mut tries = self.tries();
        loop {
            slot.clear();
            let begun = begun.take();
            let attempt = async {
                let body = match begun {
                    Some(body) => body,
                    None => self.ask(object, range.clone(), Some(generation)).await?.body,
                };
                receive(pieces(body), &mut slot, len as usize).await.map_err(unreceived)
            };
            match tries.run(len, attempt).await {
                Ok(()) => return Ok(slot),
                Err(failure) if is_unmet(&failure) => return Err(failure),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// Asks for a range that is not empty, of this version where one is given, and waits until the answer begins.
    async fn ask(&self, object: &str, range: Range<u64>, generation: Option<i64>) -> Result<Opened, Failure> {
        let part = ReadRange::segment(range.start, range.end - range.start);
        let mut request = self.client.read_object(self.names.resource(), object).set_read_range(part);
        if let Some(generation) = generation {
            request = request.set_if_generation_match(generation);
        }
        let body = request.send().await.map_err(|error| Failure::of(&error))?;
        let said = body.object();
        if generation.is_some_and(|generation| generation != said.generation) {
            // Not all servers know the condition.
            return Err(replaced());
        }
        Ok(Opened {
            size: u64::try_from(said.size).ok().filter(|&size| size > 0),
            generation: said.generation,
            checksum: said.checksums.and_then(|checksums| checksums.crc32c),
            body,
        })
    }
}

/// What the service would have answered to a condition that it does not know.
fn replaced() -> Failure {
    Failure { status: Some(412), ..Failure::ours(Cause::Refused, "another version has taken its place") }
}

fn check(bytes: &Bytes, checksum: Option<u32>) -> Result<(), Failure> {
    match checksum {
        Some(checksum) if crc32c::crc32c(bytes) != checksum => {
            Err(Failure::ours(Cause::Broken, "what arrived has another checksum than the object"))
        }
        _ => Ok(()),
    }
}

/// The pieces of a body, as they come.
fn pieces(body: ReadObjectResponse) -> impl Stream<Item = Result<Bytes, SdkError>> + Send + Unpin {
    Box::pin(stream::unfold(body, |mut body| async { Some((body.next().await?, body)) }))
}

fn unreceived(problem: Unreceived<SdkError>) -> Failure {
    match problem {
        Unreceived::Broken(error) => Failure::of(&error),
        Unreceived::Length(message) => Failure::ours(Cause::Broken, message),
    }
}

//! Reading: a first part, whose answer tells size and version, and the others beside it, all of that version.

use std::ops::Range;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

use super::slots::{Unreceived, join, receive, slots, whole};
use super::{Tries, Trouble};
use crate::error::{BackendError, ErrorClass};
use crate::storage::{Key, StorageResult, cut_range};

/// How often an object may be replaced while it is read.
const REPLACED: usize = 8;

/// No object is so large; what asks for more asks for the end.
const LARGEST_OBJECT: u64 = 1 << 50;

/// A part of an object whose answer has begun.
#[derive(Debug)]
pub struct Opened<B> {
    /// Where it lies in the object.
    pub range: Range<u64>,
    /// The size of the whole object.
    pub size: u64,
    /// Which version of the object it is of.
    pub version: Option<String>,
    /// When the object was last written.
    pub modified: Option<SystemTime>,
    /// The part.
    pub body: B,
}

/// The requests by which a storage reads objects.
pub trait Reading: Sync {
    /// What comes of a request that fails.
    type Failure: Trouble;
    /// What comes of a body that breaks off.
    type BodyError: Send;
    /// The body of an answer.
    type Body: Stream<Item = Result<Bytes, Self::BodyError>> + Unpin + Send;

    /// A request, not tried yet.
    fn tries(&self) -> Tries<'_>;

    /// Bytes in one part.
    fn part_size(&self) -> u64;

    /// Parts under way at once; at least 1.
    fn parallel(&self) -> usize;

    /// The name of the object of this key.
    fn object(&self, key: &Key) -> String;

    /// Where it is, for people.
    fn location(&self, key: &Key) -> String;

    /// Asks once for a range that is not empty, of this version where one is given, and waits until the answer begins.
    fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> impl Future<Output = Result<Opened<Self::Body>, Self::Failure>> + Send;

    /// The size of the object of this key.
    fn size(&self, key: &Key) -> impl Future<Output = StorageResult<u64>> + Send;

    /// Whether the object is another version than the one that was asked for.
    fn is_replaced(failure: &Self::Failure) -> bool;

    /// Whether the range starts at or after the end of the object.
    fn is_past_the_end(failure: &Self::Failure) -> bool;

    /// The failure that a body which is not what it should be is.
    fn unreceived(problem: Unreceived<Self::BodyError>) -> Self::Failure;

    /// Looks whether all of an object is what was stored, where the service tells a checksum: the version can hold it.
    fn check(_whole: &Bytes, _version: Option<&str>) -> Result<(), Self::Failure> {
        Ok(())
    }

    /// The error for the caller, of a failure to read the object of this key.
    fn error(&self, failure: Self::Failure, key: &Key) -> BackendError;
}

enum First<B> {
    All(Bytes),
    Begun(Opened<B>),
}

enum Outcome {
    Read(Bytes),
    /// The range starts where the object ends, or later.
    PastTheEnd,
    /// Another version has taken its place.
    Replaced,
}

/// Reads a range that is not empty. All of it is of one version of the object.
pub async fn read<R: Reading>(reading: &R, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
    let object = reading.object(key);
    for _ in 0..REPLACED {
        let outcome = read_once(reading, &object, &range).await;
        match outcome.map_err(|failure| reading.error(failure, key))? {
            Outcome::Read(bytes) => return Ok(bytes),
            Outcome::PastTheEnd if range.start == 0 => return Ok(Bytes::new()),
            Outcome::PastTheEnd => {
                // The refusal does not say where the end is.
                let size = reading.size(key).await?;
                if cut_range(key, &range, size)?.is_empty() {
                    return Ok(Bytes::new());
                }
            }
            Outcome::Replaced => {}
        }
    }
    let location = reading.location(key);
    Err(BackendError::new(
        ErrorClass::Transient,
        format!("{location} is replaced faster than it can be read"),
    ))
}

async fn read_once<R: Reading>(reading: &R, object: &str, range: &Range<u64>) -> Result<Outcome, R::Failure> {
    if range.start >= LARGEST_OBJECT {
        return Ok(Outcome::PastTheEnd);
    }
    let end = range.end.min(range.start + reading.part_size());
    let opened = match first(reading, object, range, range.start..end).await {
        Ok(First::All(bytes)) => return Ok(Outcome::Read(bytes)),
        Ok(First::Begun(opened)) => opened,
        Err(failure) if R::is_past_the_end(&failure) => return Ok(Outcome::PastTheEnd),
        Err(failure) => return Err(failure),
    };
    match rest(reading, object, opened, range.end).await {
        Ok(bytes) => Ok(Outcome::Read(bytes)),
        Err(failure) if R::is_replaced(&failure) => Ok(Outcome::Replaced),
        Err(failure) => Err(failure),
    }
}

/// Opens the first part of a range; where it is all of it, reads it at once.
async fn first<R: Reading>(
    reading: &R,
    object: &str,
    range: &Range<u64>,
    part: Range<u64>,
) -> Result<First<R::Body>, R::Failure> {
    let mut tries = reading.tries();
    loop {
        let attempt = async {
            let opened = reading.ask(object, part.clone(), None).await?;
            if opened.range.end < range.end.min(opened.size) {
                return Ok(First::Begun(opened));
            }
            let Opened { range: got, size, version, body, .. } = opened;
            let bytes = whole(body, (got.end - got.start) as usize).await.map_err(R::unreceived)?;
            if got == (0..size) {
                R::check(&bytes, version.as_deref())?;
            }
            Ok(First::All(bytes))
        };
        match tries.run(reading.part_size(), attempt).await {
            Ok(first) => return Ok(first),
            Err(failure) => tries.again(failure).await?,
        }
    }
}

/// Reads what has been opened and all that follows up to `end`.
async fn rest<R: Reading>(
    reading: &R,
    object: &str,
    opened: Opened<R::Body>,
    end: u64,
) -> Result<Bytes, R::Failure> {
    let Opened { range: first, size, version, body, .. } = opened;
    let mut ranges = vec![first];
    let mut next = ranges[0].end;
    while next < end.min(size) {
        let part = next..end.min(size).min(next + reading.part_size());
        next = part.end;
        ranges.push(part);
    }
    let memory = slots(ranges.iter().map(|range| (range.end - range.start) as usize));
    let is_whole = ranges[0].start == 0 && end >= size;
    let mut begun = Some(body);
    let version = version.as_deref();
    let parts = ranges
        .into_iter()
        .zip(memory)
        .map(|(range, slot)| fill(reading, object, range, slot, version, begun.take()));
    let parts: Vec<_> = parts.collect();
    let filled: Vec<BytesMut> = stream::iter(parts).buffered(reading.parallel()).try_collect().await?;
    let bytes = join(filled);
    if is_whole {
        R::check(&bytes, version)?;
    }
    Ok(bytes)
}

/// Reads one part into its slot, from an answer that has begun where there is one.
async fn fill<R: Reading>(
    reading: &R,
    object: &str,
    range: Range<u64>,
    mut slot: BytesMut,
    version: Option<&str>,
    mut begun: Option<R::Body>,
) -> Result<BytesMut, R::Failure> {
    let len = range.end - range.start;
    let mut tries = reading.tries();
    loop {
        slot.clear();
        let begun = begun.take();
        let attempt = async {
            let body = match begun {
                Some(body) => body,
                None => reading.ask(object, range.clone(), version).await?.body,
            };
            receive(body, &mut slot, len as usize).await.map_err(R::unreceived)
        };
        match tries.run(len, attempt).await {
            Ok(()) => return Ok(slot),
            Err(failure) => tries.again(failure).await?,
        }
    }
}

/// `bytes 0-9/20`, as `Content-Range` has it: a range and the size of the whole.
pub fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
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

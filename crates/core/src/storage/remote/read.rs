//! Reading: a first part, whose answer tells size and version, and the others beside it, all of that version.

use std::ops::Range;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::service::{Operation, Service};
use super::slots::{join, receive, slots, whole};
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
pub(super) async fn read<S: Service>(service: &S, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
    let object = service.common().prefix.object(key.as_str());
    let error = |failure| service.error(failure, Operation::Read, key.as_str());
    for _ in 0..REPLACED {
        let outcome = read_once(service, &object, &range).await;
        match outcome.map_err(error)? {
            Outcome::Read(bytes) => return Ok(bytes),
            Outcome::PastTheEnd if range.start == 0 => return Ok(Bytes::new()),
            Outcome::PastTheEnd => {
                // The refusal does not say where the end is.
                let size = service.known(&object).await.map_err(error)?.size;
                if cut_range(key, &range, size)?.is_empty() {
                    return Ok(Bytes::new());
                }
            }
            Outcome::Replaced => {}
        }
    }
    let location = service.place(key.as_str());
    Err(BackendError::new(
        ErrorClass::Transient,
        format!("{location} is replaced faster than it can be read"),
    ))
}

async fn read_once<S: Service>(service: &S, object: &str, range: &Range<u64>) -> Result<Outcome, S::Failure> {
    if range.start >= LARGEST_OBJECT {
        return Ok(Outcome::PastTheEnd);
    }
    let end = range.end.min(range.start + service.common().parts.size);
    let opened = match first(service, object, range, range.start..end).await {
        Ok(First::All(bytes)) => return Ok(Outcome::Read(bytes)),
        Ok(First::Begun(opened)) => opened,
        Err(failure) if S::is_past_the_end(&failure) => return Ok(Outcome::PastTheEnd),
        Err(failure) => return Err(failure),
    };
    match rest(service, object, opened, range.end).await {
        Ok(bytes) => Ok(Outcome::Read(bytes)),
        Err(failure) if S::is_unmet(&failure) => Ok(Outcome::Replaced),
        Err(failure) => Err(failure),
    }
}

/// Opens the first part of a range; where it is all of it, reads it at once.
async fn first<S: Service>(
    service: &S,
    object: &str,
    range: &Range<u64>,
    part: Range<u64>,
) -> Result<First<S::Body>, S::Failure> {
    let mut tries = service.common().tries();
    loop {
        let attempt = async {
            let opened = service.ask(object, part.clone(), None).await?;
            if opened.range.end < range.end.min(opened.size) {
                return Ok(First::Begun(opened));
            }
            let Opened { range: got, size, version, body, .. } = opened;
            let bytes = whole(body, (got.end - got.start) as usize).await.map_err(S::unreceived)?;
            if got == (0..size) {
                S::check(&bytes, version.as_deref())?;
            }
            Ok(First::All(bytes))
        };
        match tries.run(service.common().parts.size, attempt).await {
            Ok(first) => return Ok(first),
            Err(failure) => tries.again(failure).await?,
        }
    }
}

/// Reads what has been opened and all that follows up to `end`.
async fn rest<S: Service>(
    service: &S,
    object: &str,
    opened: Opened<S::Body>,
    end: u64,
) -> Result<Bytes, S::Failure> {
    let Opened { range: first, size, version, body, .. } = opened;
    let mut ranges = vec![first];
    let mut next = ranges[0].end;
    while next < end.min(size) {
        let part = next..end.min(size).min(next + service.common().parts.size);
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
        .map(|(range, slot)| fill(service, object, range, slot, version, begun.take()));
    let parts: Vec<_> = parts.collect();
    let filled: Vec<BytesMut> =
        stream::iter(parts).buffered(service.common().parts.parallel).try_collect().await?;
    let bytes = join(filled);
    if is_whole {
        S::check(&bytes, version)?;
    }
    Ok(bytes)
}

/// Reads one part into its slot, from an answer that has begun where there is one.
async fn fill<S: Service>(
    service: &S,
    object: &str,
    range: Range<u64>,
    mut slot: BytesMut,
    version: Option<&str>,
    mut begun: Option<S::Body>,
) -> Result<BytesMut, S::Failure> {
    let len = range.end - range.start;
    let mut tries = service.common().tries();
    loop {
        slot.clear();
        let begun = begun.take();
        let attempt = async {
            let body = match begun {
                Some(body) => body,
                None => service.ask(object, range.clone(), version).await?.body,
            };
            receive(body, &mut slot, len as usize).await.map_err(S::unreceived)
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

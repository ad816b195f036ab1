//! Content: all of an object, or a range of it.

use std::ops::Range;

use super::answer::{Answer, NO_BUCKET, UNMET, no_object};
use super::exchange::Asked;
use super::store::{Conditions, Store, encoded};

pub(super) fn read(store: &Store, asked: &Asked, bucket: &str, name: &str) -> Answer {
    let Some(objects) = store.buckets.get(bucket) else { return Answer::media_error(404, NO_BUCKET) };
    let object = objects.get(name);
    let Some(object) = object else { return Answer::media_error(404, &no_object(bucket, name)) };
    // Versions of the past are not kept.
    let generation = asked.target.value("generation");
    if generation.is_some_and(|asked| asked != object.generation.to_string()) {
        return Answer::media_error(404, &no_object(bucket, name));
    }
    if !Conditions::of(&asked.target).hold(Some(object)) {
        return Answer::media_error(412, UNMET);
    }
    let len = object.data.len();
    let (status, part) = match asked.header("range").map(|range| part(range, len)) {
        None | Some(Wanted::All) => (200, 0..len),
        Some(Wanted::Part(part)) => (206, part),
        Some(Wanted::PastTheEnd) => {
            let answer = Answer::media_error(416, "The requested range cannot be satisfied.");
            return answer.with("content-range", format!("bytes */{len}"));
        }
    };
    let mut answer = Answer::media(status, object.data.slice(part.clone()))
        .with("x-goog-generation", object.generation.to_string())
        .with("x-goog-metageneration", "1")
        .with("x-goog-storage-class", "STANDARD")
        .with("x-goog-stored-content-encoding", "identity")
        .with("x-goog-stored-content-length", len.to_string())
        .with("x-goog-hash", format!("crc32c={}", encoded(object.crc32c)))
        .with("accept-ranges", "bytes")
        .with("content-type", "application/octet-stream");
    if status == 206 {
        answer = answer.with("content-range", format!("bytes {}-{}/{len}", part.start, part.end - 1));
    }
    answer
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq)]
enum Wanted {
    /// What is no range is ignored.
    All,
    Part(Range<usize>),
    PastTheEnd,
}

/// `bytes=0-9`, `bytes=10-` and `bytes=-5` of so many bytes.
fn part(range: &str, len: usize) -> Wanted {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let part = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(len),
        (Ok(first), Err(_)) if last.is_empty() => first..len,
        (Err(_), Ok(count)) if first.is_empty() => len.saturating_sub(count)..len,
        _ => return Wanted::All,
    };
    if part.is_empty() { Wanted::PastTheEnd } else { Wanted::Part(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, wanted) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=5-99", Wanted::Part(5..20)),
            ("bytes=5-", Wanted::Part(5..20)),
            ("bytes=-5", Wanted::Part(15..20)),
            ("bytes=-50", Wanted::Part(0..20)),
            ("bytes=20-", Wanted::PastTheEnd),
            ("bytes=20-30", Wanted::PastTheEnd),
            ("bytes=9-3", Wanted::All),
            ("lines=0-9", Wanted::All),
        ] {
            assert_eq!(part(range, 20), wanted, "{range}");
        }
        assert_eq!(part("bytes=0-0", 0), Wanted::PastTheEnd);
    }
}

//! Resumable uploads: begun with one request, sent with any number of others, one after the other.

use std::ops::Range;

use serde_json::{Map, Value};

use super::answer::Answer;
use super::exchange::Asked;
use super::store::{Conditions, Store, Upload};
use super::upload::{name, refused, written};
use crate::standins::published::Called;

/// What is kept of a request whose connection ended, and what all requests but the last send, is a multiple of it.
const QUANTUM: usize = 256 << 10;

pub(super) fn begin(store: &mut Store, asked: &Asked, called: &Called, bucket: &str) -> Answer {
    let said =
        if asked.body.is_empty() { Some(Map::new()) } else { serde_json::from_slice(&asked.body).ok() };
    let Some(said) = said else { return Answer::error(400, "parseError", "Parse Error") };
    if let Some(wrong) = refused(called, &said) {
        return wrong;
    }
    let Some(object) = name(asked, &said) else { return Answer::error(400, "required", "Required") };
    let Some(objects) = store.buckets.get(bucket) else { return Answer::no_bucket() };
    let conditions = Conditions::of(&asked.target);
    // They are checked once more when it is completed.
    if !conditions.hold(objects.get(&object)) {
        return Answer::unmet();
    }
    let id = format!("{:032x}", fastrand::u128(..));
    let path = format!("/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}");
    let location = format!("{}{path}", asked.origin());
    let upload = Upload { bucket: bucket.to_owned(), object, conditions, said, data: Vec::new() };
    store.uploads.insert(id, upload);
    Answer::empty(200).with("location", location)
}

/// What `Content-Range` says of a request: where its bytes lie, and how many there are in all; each where it is known.
#[derive(Debug, PartialEq)]
struct Said {
    range: Option<Range<usize>>,
    size: Option<usize>,
}

/// `bytes 0-9/20`, `bytes 0-9/*`, `bytes 0-*/*` with the length of the body, `bytes */20`, `bytes */*`.
fn content_range(text: &str, len: usize) -> Option<Said> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let size = if size == "*" { None } else { Some(size.parse().ok()?) };
    let range = match range.split_once('-') {
        None if range == "*" => None,
        None => return None,
        Some((first, "*")) => {
            let first: usize = first.parse().ok()?;
            // All that is left.
            return Some(Said { range: Some(first..first + len), size: Some(first + len) });
        }
        Some((first, last)) => Some(first.parse().ok()?..last.parse::<usize>().ok()? + 1),
    };
    Some(Said { range, size })
}

pub(super) fn put(store: &mut Store, asked: &Asked) -> Answer {
    let id = asked.target.value("upload_id").unwrap_or_default();
    if let Some(resource) = store.completed.get(id) {
        return Answer::json(resource);
    }
    let Some(upload) = store.uploads.get_mut(id) else {
        return Answer::error(404, "notFound", "No such upload session");
    };
    let len = asked.body.len();
    let said = match asked.header("content-range") {
        None => Some(Said { range: Some(0..len), size: Some(len) }),
        Some(text) => content_range(text, len),
    };
    let Some(said) = said else { return Answer::error(400, "invalid", "Invalid Content-Range header") };
    if let Some(range) = said.range {
        if range.len() != len || range.start > upload.data.len() {
            return Answer::error(503, "backendError", "The range does not follow what was received");
        }
        let is_last = said.size == Some(range.end);
        if !is_last && range.end % QUANTUM != 0 {
            return Answer::error(400, "invalid", "Chunks must be multiples of 256 KiB");
        }
        upload.data.truncate(range.start);
        upload.data.extend_from_slice(&asked.body);
    }
    if said.size != Some(upload.data.len()) {
        return incomplete(upload);
    }
    let Some(upload) = store.uploads.remove(id) else {
        return Answer::error(404, "notFound", "No such upload session");
    };
    let result =
        store.write(&upload.bucket, &upload.object, upload.data.into(), upload.said, upload.conditions);
    if let Ok(resource) = &result {
        let resource: Value = resource.clone();
        store.completed.insert(id.to_owned(), resource);
    }
    written(result)
}

fn incomplete(upload: &Upload) -> Answer {
    let answer = Answer::empty(308);
    match upload.data.len() {
        0 => answer,
        len => answer.with("range", format!("bytes=0-{}", len - 1)),
    }
}

/// Keeps what came of a request before its connection ended.
pub(super) fn keep_part(store: &mut Store, asked: &Asked) {
    let id = asked.target.value("upload_id").unwrap_or_default();
    let Some(upload) = store.uploads.get_mut(id) else { return };
    let start = asked.header("content-range").and_then(|text| text.strip_prefix("bytes ")?.split('-').next());
    let Some(start) = start.and_then(|start| start.parse::<usize>().ok()) else { return };
    if start <= upload.data.len() {
        let kept = (start + asked.body.len()) / QUANTUM * QUANTUM;
        upload.data.truncate(start);
        upload.data.extend_from_slice(&asked.body[..kept.saturating_sub(start)]);
    }
}

pub(super) fn cancel(store: &mut Store, asked: &Asked) -> Answer {
    let id = asked.target.value("upload_id").unwrap_or_default();
    match store.uploads.remove(id) {
        // The service's own status for it.
        Some(_) => Answer::empty(499),
        None => Answer::error(404, "notFound", "No such upload session"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let said = |range, size| Some(Said { range, size });
        assert_eq!(content_range("bytes 0-9/20", 10), said(Some(0..10), Some(20)));
        assert_eq!(content_range("bytes 0-9/*", 10), said(Some(0..10), None));
        assert_eq!(content_range("bytes 5-*/*", 10), said(Some(5..15), Some(15)));
        assert_eq!(content_range("bytes */20", 0), said(None, Some(20)));
        assert_eq!(content_range("bytes */*", 0), said(None, None));
        for wrong in ["", "bytes 5/20", "0-9/20", "bytes a-b/20", "bytes 0-9"] {
            assert_eq!(content_range(wrong, 10), None, "{wrong}");
        }
    }
}

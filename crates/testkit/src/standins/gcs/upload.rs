//! Writing in one request: content alone, or with what is said of it in a `multipart/related` body.

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::exchange::Asked;
use super::resumable;
use super::store::{Conditions, NotWritten, Store};
use crate::standins::published::{Called, Wrong};

pub(super) fn insert(store: &mut Store, asked: &Asked, called: &Called, bucket: &str) -> Answer {
    let kind = asked.target.value("uploadType");
    if kind == Some("resumable") {
        return resumable::begin(store, asked, called, bucket);
    }
    let (said, data) = match kind {
        Some("media") => (Map::new(), asked.body.clone()),
        Some("multipart") => match parts(asked) {
            Some(parts) => parts,
            None => return Answer::error(400, "badContent", "Malformed multipart body."),
        },
        _ => return Answer::error(400, "invalid", "Invalid Value"),
    };
    if let Some(wrong) = refused(called, &said) {
        return wrong;
    }
    let Some(name) = name(asked, &said) else { return Answer::error(400, "required", "Required") };
    let conditions = Conditions::of(&asked.target);
    written(store.write(bucket, &name, data, said, conditions))
}

/// An error where what is said of an object is nothing that can be said of one.
pub(super) fn refused(called: &Called, said: &Map<String, Value>) -> Option<Answer> {
    let Wrong(message) = called.check_body(Some(&Value::Object(said.clone()))).err()?;
    Some(Answer::error(400, "invalid", &message))
}

/// The object's name, which may be given in either place.
pub(super) fn name(asked: &Asked, said: &Map<String, Value>) -> Option<String> {
    let given = asked.target.value("name").or_else(|| said.get("name")?.as_str());
    given.filter(|name| !name.is_empty() && name.len() <= 1_024).map(str::to_owned)
}

pub(super) fn written(result: Result<Value, NotWritten>) -> Answer {
    match result {
        Ok(resource) => Answer::json(&resource),
        Err(NotWritten::NoBucket) => Answer::no_bucket(),
        Err(NotWritten::Unmet) => Answer::unmet(),
        Err(NotWritten::Damaged(message)) => Answer::error(400, "invalid", &message),
    }
}

/// What is said of the object, and its content; a third part has checksums, which count as if they were in the first.
fn parts(asked: &Asked) -> Option<(Map<String, Value>, Bytes)> {
    let kind = asked.header(CONTENT_TYPE)?;
    let boundary = kind.strip_prefix("multipart/related")?.split_once("boundary=")?.1;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let mut parts = split(&asked.body, boundary)?.into_iter();
    let json = |part: Bytes| serde_json::from_slice::<Map<String, Value>>(&part).ok();
    let mut said = json(parts.next()?)?;
    let data = parts.next()?;
    if let Some(checksums) = parts.next() {
        said.extend(json(checksums)?);
    }
    parts.next().is_none().then_some((said, data))
}

/// The contents of the parts, without their headers.
fn split(body: &Bytes, boundary: &str) -> Option<Vec<Bytes>> {
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    // The first delimiter begins the body, without the line's end before it.
    let mut at = find(body, 0, delimiter.trim_start())? + delimiter.len() - 2;
    while !body[at..].starts_with(b"--") {
        let content = find(body, at, "\r\n\r\n")? + 4;
        let end = find(body, content - 2, &delimiter)?;
        parts.push(body.slice(content.min(end)..end));
        at = end + delimiter.len();
    }
    Some(parts)
}

fn find(body: &[u8], from: usize, text: &str) -> Option<usize> {
    Some(from + memchr::memmem::find(&body[from..], text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_at_their_boundary() {
        let body = "--B\r\nContent-Type: application/json\r\n\r\n{}\r\n--B\r\nA: b\r\n\r\nx\r\n\r\n--C\r\n--B\r\n\r\n\r\n--B--\r\n";
        let parts = split(&Bytes::from(body), "B").unwrap();
        assert_eq!(parts, ["{}", "x\r\n\r\n--C", ""]);
        for wrong in ["", "--B", "--B\r\n\r\nx", "--B\r\n\r\nx\r\n--B"] {
            assert_eq!(split(&Bytes::from(wrong), "B"), None, "{wrong:?}");
        }
    }
}

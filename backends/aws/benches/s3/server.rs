//! The least that `PutObject`, `UploadPart` and `GetObject` need.

use std::collections::HashMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use rustwren_testkit::least_server::object;

#[derive(Default)]
pub(crate) struct Store {
    objects: HashMap<String, Bytes>,
    /// Parts of the one upload of a key that is under way.
    parts: HashMap<String, Vec<(u32, Bytes)>>,
}

pub(crate) fn answer(head: &Parts, body: Bytes, store: &mut Store) -> Response<Full<Bytes>> {
    let key = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber=")?.parse().ok());
    let is_chunked = head.headers.contains_key("x-amz-decoded-content-length");
    let body = if is_chunked { decoded(&body) } else { body };
    let reply = Response::builder().header("etag", "\"1\"");
    let reply = match (head.method.clone(), number) {
        (Method::PUT, Some(number)) => {
            store.parts.entry(key).or_default().push((number, body));
            reply.body(Full::default())
        }
        (Method::PUT, None) => {
            store.objects.insert(key, body);
            reply.body(Full::default())
        }
        (Method::POST, _) if query.starts_with("uploads") => reply.body(Full::from(
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        )),
        (Method::POST, _) => {
            let mut parts = store.parts.remove(&key).unwrap_or_default();
            parts.sort_by_key(|(number, _)| *number);
            let whole: Vec<Bytes> = parts.into_iter().map(|(_, part)| part).collect();
            store.objects.insert(key, whole.concat().into());
            reply.body(Full::from("<CompleteMultipartUploadResult/>"))
        }
        (Method::GET, _) => return object(&store.objects[&key], head),
        _ => reply.status(StatusCode::NOT_IMPLEMENTED).body(Full::default()),
    };
    reply.unwrap()
}

/// The chunks of an upload whose checksum follows it.
fn decoded(mut body: &[u8]) -> Bytes {
    let mut all = Vec::with_capacity(body.len());
    loop {
        let end = body.windows(2).position(|end| end == b"\r\n").unwrap();
        let line = std::str::from_utf8(&body[..end]).unwrap();
        let len = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
        if len == 0 {
            return all.into();
        }
        all.extend_from_slice(&body[end + 2..end + 2 + len]);
        body = &body[end + 2 + len + 2..];
    }
}

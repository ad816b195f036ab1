//! One request and its answer: who may, what the test says of it, and which part of the API it is about.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use hyper::{Method, Response};

use super::answer::Answer;
use super::query::Target;
use super::{Shared, download, lock, objects, resumable, upload};
use crate::standins::published::{self, Called, Wrong};
use crate::standins::{Request, Verdict};

/// As which API this server is.
const HOST_NAME: &str = "storage.googleapis.com";

type Body = BoxBody<Bytes, io::Error>;

/// A request with all of its body that came.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn header(&self, name: impl hyper::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The method that it calls, by what is published of the API. The address of an upload under way is the server's own.
    fn called(&self) -> Result<Called, Wrong> {
        // Content is read below an address of its own, too.
        let path = self.target.encoded.strip_prefix("download/").unwrap_or(&self.target.encoded);
        if self.target.value("upload_id").is_some() {
            return published::called(HOST_NAME, "POST", path, &[]);
        }
        published::called(HOST_NAME, self.method.as_str(), path, &self.target.query)
    }

    /// The server as the client calls it.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.header(HOST).unwrap_or("localhost"))
    }
}

/// Answers a request, or ends its connection where the test says so.
pub(super) async fn serve(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let (mut body, mut is_whole) = received(body).await;
    let number = shared.served.fetch_add(1, Ordering::SeqCst);
    let verdict = {
        let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let request = Request {
            method: head.method.to_string(),
            path,
            headers: headers.collect(),
            body: body.to_vec(),
            number,
        };
        let judge = Arc::clone(&lock(&shared.judge));
        judge(&request)
    };
    let ends = || io::Error::other("as the test says");
    if let Verdict::CutRequest(at) = verdict {
        body.truncate(at);
        is_whole = false;
    }
    match verdict {
        Verdict::Drop => return Err(ends()),
        Verdict::PassTo(other) => {
            return Err(io::Error::other(format!("no other server is asked, {other} neither")));
        }
        Verdict::Answer { status, headers, body } => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
            return answer.body(body).map_err(io::Error::other);
        }
        Verdict::Pass | Verdict::LoseAnswer | Verdict::CutAnswer(_) | Verdict::CutRequest(_) => {}
    }
    let target = Target::new(&head.uri);
    let asked = Asked { method: head.method, target, headers: head.headers, body };
    let answer = if is_whole {
        answer(&shared, &asked)
    } else {
        // Only resumable uploads keep what came before a connection ended.
        resumable::keep_part(&mut shared.store(), &asked);
        return Err(ends());
    };
    match verdict {
        Verdict::LoseAnswer => Err(ends()),
        Verdict::CutAnswer(at) => {
            let len = answer.body.len();
            let part = answer.body.slice(..at.min(len));
            let frames = [Ok(Frame::data(part)), Err(ends())];
            let body = StreamBody::new(stream::iter(frames)).boxed();
            let mut response = answer.into_response(|_| body)?;
            response.headers_mut().insert(CONTENT_LENGTH, len.into());
            Ok(response)
        }
        _ => answer.into_response(|body| Full::new(body).map_err(|never| match never {}).boxed()),
    }
}

/// What came of a body, and whether that is all of it.
async fn received(mut body: Incoming) -> (Bytes, bool) {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => all.extend_from_slice(&data),
            // Trailers.
            Ok(Err(_)) => {}
            Err(_) => return (all.freeze(), false),
        }
    }
    (all.freeze(), true)
}

fn answer(shared: &Shared, asked: &Asked) -> Answer {
    if let Some(token) = &*lock(&shared.token) {
        match asked.header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")) {
            Some(given) if given == token => {}
            Some(_) => return Answer::error(401, "authError", "Invalid Credentials"),
            None => {
                let message = "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage \
                               object. Permission 'storage.objects.get' denied on resource (or it may not exist).";
                return Answer::error(401, "required", message);
            }
        }
    }
    let called = match asked.called() {
        Ok(called) => called,
        Err(Wrong(message)) => return Answer::error(400, "invalid", &message),
    };
    let answer = carried_out(shared, asked, &called);
    if asked.target.value("alt") == Some("media") { answer } else { answer.checked(&called) }
}

fn carried_out(shared: &Shared, asked: &Asked, called: &Called) -> Answer {
    let store = &mut *shared.store();
    let path: Vec<&str> = asked.target.path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("POST", ["upload", "storage", "v1", "b", bucket, "o"]) => {
            upload::insert(store, asked, called, bucket)
        }
        ("PUT", ["upload", "storage", "v1", "b", _, "o"]) => resumable::put(store, asked),
        ("DELETE", ["upload", "storage", "v1", "b", _, "o"]) => resumable::cancel(store, asked),
        ("POST", ["storage", "v1", "b"]) => objects::make_bucket(store, asked, called),
        ("GET", ["storage", "v1", "b", bucket]) => objects::bucket(store, bucket),
        ("DELETE", ["storage", "v1", "b", bucket]) => objects::remove_bucket(store, bucket),
        ("GET", ["storage", "v1", "b", bucket, "o"]) => objects::list(store, asked, bucket),
        (
            "GET",
            ["storage", "v1", "b", bucket, "o", object]
            | ["download", "storage", "v1", "b", bucket, "o", object],
        ) => {
            let is_media = asked.target.value("alt") == Some("media");
            if is_media {
                download::read(store, asked, bucket, object)
            } else {
                objects::metadata(store, asked, bucket, object)
            }
        }
        ("DELETE", ["storage", "v1", "b", bucket, "o", object]) => {
            objects::delete(store, asked, bucket, object)
        }
        _ => Answer::error(404, "notFound", "Not Found"),
    }
}

//! The least that `PutObject`, `UploadPart` and `GetObject` need, from memory: so little work that the client's shows.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc;
use std::{cell::RefCell, convert::Infallible};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

#[derive(Default)]
struct Store {
    objects: HashMap<String, Bytes>,
    /// Parts of the one upload of a key that is under way.
    parts: HashMap<String, Vec<(u32, Bytes)>>,
}

/// Serves on a thread of its own until the process ends.
pub(crate) fn start() -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let store = Rc::new(RefCell::new(Store::default()));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let store = Rc::clone(&store);
                tokio::task::spawn_local(async move {
                    let service = service_fn(move |request| answer(request, Rc::clone(&store)));
                    let served = hyper::server::conn::http1::Builder::new();
                    // A connection that ends is the client's affair.
                    drop(served.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
    });
    told.recv().unwrap()
}

async fn answer(
    request: Request<Incoming>,
    store: Rc<RefCell<Store>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let key = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber=")?.parse().ok());
    let body = body.collect().await.unwrap().to_bytes();
    let is_chunked = head.headers.contains_key("x-amz-decoded-content-length");
    let body = if is_chunked { decoded(&body) } else { body };
    let store = &mut *store.borrow_mut();
    let reply = Response::builder().header("etag", "\"1\"");
    let reply = match (head.method, number) {
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
        (Method::GET, _) => {
            let object = store.objects[&key].clone();
            let asked = head.headers.get("range").map(|range| range.to_str().unwrap());
            match asked {
                None => reply.body(Full::from(object)),
                Some(range) => {
                    let part = part(range, object.len());
                    let range = format!("bytes {}-{}/{}", part.start, part.end - 1, object.len());
                    let reply = reply.status(StatusCode::PARTIAL_CONTENT).header("content-range", range);
                    reply.body(Full::from(object.slice(part)))
                }
            }
        }
        _ => reply.status(StatusCode::NOT_IMPLEMENTED).body(Full::default()),
    };
    Ok(reply.unwrap())
}

/// `bytes=0-9`
fn part(range: &str, len: usize) -> Range<usize> {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    first.parse().unwrap()..len.min(last.parse::<usize>().unwrap() + 1)
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

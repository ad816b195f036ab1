//! The least of an HTTP server, from memory: so little work that the client's shows in benchmarks.

#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

/// What a request comes to.
pub type Answer<S> = fn(head: &Parts, body: Bytes, store: &mut S) -> Response<Full<Bytes>>;

/// Serves on a thread of its own until the process ends.
pub fn start<S: Default + 'static>(answer: Answer<S>) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let store = Rc::new(RefCell::new(S::default()));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let store = Rc::clone(&store);
                tokio::task::spawn_local(async move {
                    let service = service_fn(move |request: Request<_>| {
                        let store = Rc::clone(&store);
                        async move {
                            let (head, body) = request.into_parts();
                            let body = hyper::body::Incoming::collect(body).await.unwrap().to_bytes();
                            Ok::<_, Infallible>(answer(&head, body, &mut store.borrow_mut()))
                        }
                    });
                    let served = hyper::server::conn::http1::Builder::new();
                    // A connection that ends is the client's affair.
                    drop(served.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
    });
    told.recv().unwrap()
}

/// An object, or the part of it that `Range` asks for.
pub fn object(object: &Bytes, head: &Parts) -> Response<Full<Bytes>> {
    let reply = Response::builder().header("etag", "\"1\"");
    let reply = match head.headers.get("range").map(|range| part(range.to_str().unwrap(), object.len())) {
        None => reply.body(Full::from(object.clone())),
        Some(part) => {
            let range = format!("bytes {}-{}/{}", part.start, part.end - 1, object.len());
            let reply = reply.status(StatusCode::PARTIAL_CONTENT).header("content-range", range);
            reply.body(Full::from(object.slice(part)))
        }
    };
    reply.unwrap()
}

/// `bytes=0-9`
fn part(range: &str, len: usize) -> Range<usize> {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    first.parse().unwrap()..len.min(last.parse::<usize>().unwrap() + 1)
}

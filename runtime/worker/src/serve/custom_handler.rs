//! What the host of Azure Functions asks of its custom handler: whether it is up, calls that it proxies, and messages of
//! a queue that it has taken for the handler.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use rustwren_core::protocol::calls::INVOKE;
use rustwren_core::protocol::queued::FUNCTION;
use rustwren_runtime::Isolation;

use super::reply::Reply;
use super::{Shared, invoke, queued};

/// What the host puts in front of the paths of functions with HTTP triggers, unless its `host.json` says otherwise.
const PREFIX: &str = "/api";

/// How a runtime is set up as a custom handler.
#[derive(Debug, Clone)]
pub(crate) struct CustomHandler {
    /// Keeps the jobs of an instance apart.
    pub(crate) isolation: Isolation,
}

/// Answers a request of the host.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    match (&head.method, path) {
        // Whatever is answered, the handler is up.
        (&Method::GET | &Method::HEAD, "/") => Reply::text(StatusCode::OK, "ok\n"),
        (&Method::POST, path) if path.strip_prefix(PREFIX) == Some(INVOKE) => {
            invoke::invoke(shared, body, None).await
        }
        (&Method::POST, path) if path.strip_prefix('/') == Some(FUNCTION) => {
            queued::answer(shared, body).await
        }
        _ => {
            tracing::warn!("the host asks for {} {path}, which is no function of RustWren's", head.method);
            Reply::text(StatusCode::NOT_FOUND, "no such function\n")
        }
    }
}

//! HTTP: from callers to handlers and back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::instance::Slot;
use super::{Fault, Shared};

type Answer = Response<BoxBody<Bytes, Closed>>;

/// Why there is no answer, or no more of it: the connection is to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the stand-in closes the connection")]
struct Closed;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // Clients come and go, and faults close connections.
            drop(served);
        });
    }
}

async fn answer(mut request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Closed> {
    let until = Instant::now() + shared.app.http_limit;
    let fault = shared.change(|state| {
        state.seen.calls += 1;
        state.faults.pop_front()
    });
    match fault {
        Some(Fault::Reset) => return Err(Closed),
        Some(Fault::Status(status, retry_after)) => {
            let mut answer =
                words(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), "as the test says");
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            return Ok(answer);
        }
        Some(Fault::LostAnswer) | None => {}
    }
    if request.uri().path() != shared.app.http_path {
        return Ok(words(StatusCode::NOT_FOUND, ""));
    }
    let key = request.headers_mut().remove("x-functions-key");
    if key.is_none_or(|key| key.as_bytes() != shared.app.key.as_bytes()) {
        shared.change(|state| state.seen.denied += 1);
        return Ok(words(StatusCode::UNAUTHORIZED, ""));
    }
    let passing = async {
        let Some(slot) = Slot::take(&shared).await else {
            return words(StatusCode::SERVICE_UNAVAILABLE, "Function host is not running.");
        };
        let id = HeaderValue::try_from(format!("{:032x}", fastrand::u128(..)));
        if let Ok(id) = id {
            request.headers_mut().insert("x-azure-functions-invocationid", id);
        }
        match slot.send(request).await {
            Ok(answer) => {
                let limit = Box::pin(sleep_until(until));
                answer.map(|body| Passed { body, limit, slot }.boxed())
            }
            Err(error) => {
                eprintln!("functions host: {error}");
                words(StatusCode::BAD_GATEWAY, "")
            }
        }
    };
    let answer = timeout_at(until, passing).await.unwrap_or_else(|_| {
        shared.change(|state| state.seen.cut_off += 1);
        words(StatusCode::GATEWAY_TIMEOUT, "")
    });
    if fault == Some(Fault::LostAnswer) { Err(Closed) } else { Ok(answer) }
}

fn words(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}

/// A handler's answer on its way, within the time there is for it.
struct Passed {
    body: Incoming,
    limit: Pin<Box<Sleep>>,
    slot: Slot,
}

impl Body for Passed {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            // A handler that dies in the middle.
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| Closed)));
        }
        if self.limit.as_mut().poll(cx).is_ready() {
            self.slot.cut_off();
            return Poll::Ready(Some(Err(Closed)));
        }
        Poll::Pending
    }
}

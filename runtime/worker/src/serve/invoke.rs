//! Invocations.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use rustwren_core::auth::BodyCheck;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, LogLine, ResultBatch};
use rustwren_core::protocol::invocation;
use rustwren_runtime::Life;
use rustwren_runtime::host::{AnswerStream, Room};
use tokio::time::timeout;

use super::reply::Reply;
use super::{Shared, body};

/// An answer that is whole within this time is sent in one piece.
const SOON: Duration = Duration::from_millis(5);
/// When a call that found no worker free is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// `POST /v1/invoke`
pub(super) async fn invoke(shared: &Arc<Shared>, body: Incoming, check: Option<BodyCheck>) -> Reply {
    if shared.is_draining() {
        return ending(body);
    }
    let Some(place) = shared.slots.take().await else {
        return full(shared, body, "all workers are busy");
    };
    let invocation = match take(shared, body, check).await {
        Ok(invocation) => invocation,
        Err(reply) => return reply,
    };
    shared.metrics.invocations.count();
    shared.metrics.elements.add(u64::from(invocation.count));
    let mut answer = AnswerStream::new(&shared.host, invocation, life(shared), shared.room, place);
    let mut first = BytesMut::new();
    let whole = async {
        while let Some(bytes) = answer.next().await {
            first.extend_from_slice(&bytes);
        }
    };
    if timeout(SOON, whole).await.is_ok() {
        return Reply::bytes(StatusCode::OK, first.freeze());
    }
    Reply::stream(first.freeze(), answer)
}

/// `POST /v1/detach`
pub(super) async fn detach(shared: &Arc<Shared>, body: Incoming, check: Option<BodyCheck>) -> Reply {
    if shared.is_draining() {
        return ending(body);
    }
    let Some(place) = shared.detached_slots.take().await else {
        return full(shared, body, "as many detached invocations run as may");
    };
    let invocation = match take(shared, body, check).await {
        Ok(invocation) => invocation,
        Err(reply) => return reply,
    };
    if invocation.job.entry.drives()
        && shared.config.secrets.is_some()
        && shared.config.passed_secret().is_none()
    {
        return Reply::error(&no_secret());
    }
    shared.metrics.detached.count();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let label = invocation.job.label.clone();
        let events: Arc<dyn Events> = Arc::new(ToLog);
        let life = life(&shared);
        match shared.detached_host.invoke(invocation, life, Room::STREAM, &events).await {
            Ok(reply) if reply.stopped.is_none() => {}
            Ok(reply) => {
                tracing::warn!(job = label, stopped = ?reply.stopped, "a detached invocation was not done");
            }
            Err(error) => tracing::warn!(job = label, %error, "a detached invocation has failed"),
        }
        drop(place);
    });
    Reply::text(StatusCode::ACCEPTED, "taken\n")
}

async fn take(shared: &Shared, body: Incoming, check: Option<BodyCheck>) -> Result<Invocation, Reply> {
    let bytes = body::read(shared, body, check).await?;
    invocation::decode(&bytes).map_err(|error| Reply::error(&error).with_status(StatusCode::BAD_REQUEST))
}

fn life(shared: &Shared) -> Life {
    shared.config.processes.max_duration.map_or(Life::Unlimited, Life::For)
}

/// The runtime is about to end: another one of the fleet will take it.
fn ending(body: Incoming) -> Reply {
    body::forget(body);
    Reply::error(&BackendError::new(ErrorClass::Transient, "the runtime is about to end"))
}

fn full(shared: &Shared, body: Incoming, what: &str) -> Reply {
    shared.metrics.throttled.count();
    body::forget(body);
    let class = ErrorClass::Throttled { retry_after: Some(RETRY_AFTER) };
    Reply::error(&BackendError::new(class, what))
}

/// A driver that cannot call anybody would fail where nobody hears it.
fn no_secret() -> BackendError {
    let message = "the runtime keeps the shared secret from function processes, and one that drives a detached job has to \
                   call the fleet";
    BackendError::new(ErrorClass::Misconfigured, message).with_hint(
        "start the runtimes with RUSTWREN__COMPUTE__PASS_ENV=RUSTWREN_HTTP_SECRET where tasks may have the secret; or \
         use a durable job, which this program drives",
    )
}

/// Nobody listens to a detached invocation: what its tasks say goes to the log.
pub(super) struct ToLog;

impl Events for ToLog {
    fn results(&self, _: u64, _: ResultBatch) {}

    fn started(&self, _: u64) {}

    fn log(&self, invocation: u64, line: LogLine) {
        for text in String::from_utf8_lossy(&line.bytes).lines() {
            tracing::info!(target: "task", invocation, "{text}");
        }
    }
}

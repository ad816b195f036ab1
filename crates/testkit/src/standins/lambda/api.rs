//! Requests to the Invoke API and what is answered.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::environment::{Environment, Outcome};
use super::{Fault, Shared};

/// The largest payload of a synchronous invocation.
const SYNC_PAYLOAD: usize = 6_291_456;
/// The largest payload of an `Event`.
const EVENT_PAYLOAD: usize = 1 << 20;
/// The largest answer of a function.
const SYNC_ANSWER: usize = 6_291_556;
/// How much of a log is given back.
const TAIL: usize = 4096;

type Answer = Response<Full<Bytes>>;

/// Why there is no answer: the connection is to be closed.
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

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Closed> {
    let path = request.uri().path();
    let name = path.strip_prefix("/2015-03-31/functions/").and_then(|rest| rest.strip_suffix("/invocations"));
    let Some(name) = name.filter(|_| request.method() == Method::POST).map(str::to_owned) else {
        return Ok(error(StatusCode::NOT_FOUND, "UnknownOperationException", "no such operation"));
    };
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = header(AUTHORIZATION.as_str()).starts_with("AWS4-HMAC-SHA256 ");
    let kind = match header("x-amz-invocation-type") {
        "" | "RequestResponse" => Kind::Sync { tail: header("x-amz-log-type") == "Tail" },
        "Event" => Kind::Event,
        "DryRun" => Kind::DryRun,
        _ => {
            return Ok(error(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                "no such invocation type",
            ));
        }
    };
    let fault = {
        let mut state = shared.state();
        state.seen.calls += 1;
        state.faults.pop_front()
    };
    match fault {
        Some(Fault::Reset) => return Err(Closed),
        Some(Fault::Throttled { reason, retry_after }) => return Ok(throttled(reason, retry_after)),
        Some(Fault::Refused { status, kind, message }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Ok(error(status, kind, message));
        }
        Some(Fault::LostAnswer) | None => {}
    }
    if !signed {
        return Ok(error(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    }
    let known =
        name == shared.function.name || name.ends_with(&format!("function%3A{}", shared.function.name));
    if !known || shared.state().is_gone() {
        let message = format!("Function not found: arn:aws:lambda:us-east-1:123456789012:function:{name}");
        return Ok(error(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message));
    }
    let most = if matches!(kind, Kind::Event) { EVENT_PAYLOAD } else { SYNC_PAYLOAD };
    let Ok(body) = Limited::new(request.into_body(), most).collect().await else {
        let message = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Ok(error(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &message));
    };
    let body = body.to_bytes();
    if !body.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
        let message = "Could not parse request body into json";
        return Ok(error(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message));
    }
    let answer = match kind {
        Kind::DryRun => empty(StatusCode::NO_CONTENT),
        Kind::Event => {
            tokio::spawn(event(shared, body));
            empty(StatusCode::ACCEPTED)
        }
        Kind::Sync { tail } => {
            // A client that hangs up does not end its invocation.
            let done = tokio::spawn(run(shared, body));
            match done.await {
                Ok(Some(outcome)) => synchronous(outcome, tail),
                Ok(None) => throttled("ReservedFunctionConcurrentInvocationLimitExceeded", Some(1)),
                Err(panic) => {
                    error(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", &panic.to_string())
                }
            }
        }
    };
    if fault == Some(Fault::LostAnswer) { Err(Closed) } else { Ok(answer) }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sync { tail: bool },
    Event,
    DryRun,
}

/// Runs a payload where there is room for it.
async fn run(shared: Arc<Shared>, payload: Bytes) -> Option<Result<Outcome, String>> {
    let (idle, heard) = {
        let mut state = shared.state();
        if state.seen.running >= shared.function.concurrency {
            state.seen.throttled += 1;
            return None;
        }
        state.seen.running += 1;
        state.seen.invocations += 1;
        state.seen.most_running = state.seen.most_running.max(state.seen.running);
        (state.idle.pop(), state.on_invoke.clone())
    };
    if let Some(heard) = heard {
        heard(&payload);
    }
    shared.changed.notify_waiters();
    let outcome = in_environment(&shared, idle, payload).await;
    shared.state().seen.running -= 1;
    shared.changed.notify_waiters();
    Some(outcome)
}

async fn in_environment(
    shared: &Shared,
    idle: Option<Environment>,
    payload: Bytes,
) -> Result<Outcome, String> {
    let mut environment = if let Some(environment) = idle {
        environment
    } else {
        let started = Environment::start(&shared.emulator, &shared.function).await;
        let (environment, child) = started.map_err(|error| error.to_string())?;
        let mut state = shared.state();
        state.children.push(child);
        state.seen.environments += 1;
        environment
    };
    let outcome = environment.invoke(payload).await.map_err(|error| error.to_string())?;
    // Whatever the function did, the emulator starts its bootstrap anew where that is called for.
    shared.state().idle.push(environment);
    Ok(outcome)
}

/// Runs a payload that nobody waits for: throttles do not count, failures are tried again.
async fn event(shared: Arc<Shared>, payload: Bytes) {
    let mut tries = 0;
    while tries <= shared.function.event_retries {
        let changed = shared.changed.notified();
        match run(Arc::clone(&shared), payload.clone()).await {
            None => changed.await,
            Some(Ok(outcome)) if function_error(&outcome).is_none() => break,
            Some(_) => tries += 1,
        }
    }
    shared.state().seen.events_over += 1;
    shared.changed.notify_waiters();
}

fn synchronous(outcome: Result<Outcome, String>, tail: bool) -> Answer {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(message) => return error(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", &message),
    };
    let failed = function_error(&outcome);
    let mut answer = Response::builder().status(StatusCode::OK).header("X-Amz-Executed-Version", "$LATEST");
    if failed.is_some() {
        answer = answer.header("X-Amz-Function-Error", "Unhandled");
    }
    if tail {
        let log = &outcome.log[outcome.log.len().saturating_sub(TAIL)..];
        answer = answer.header("X-Amz-Log-Result", STANDARD.encode(log));
    }
    let body = failed.unwrap_or(outcome.body);
    answer.body(Full::new(body)).unwrap_or_else(|error| panic!("an answer: {error}"))
}

/// The payload of a failed invocation, if it failed.
fn function_error(outcome: &Outcome) -> Option<Bytes> {
    let payload = |kind: &str, message: &str| {
        let payload = json!({ "errorType": kind, "errorMessage": message });
        Some(Bytes::from(payload.to_string()))
    };
    if outcome.status != StatusCode::OK {
        // One that does not come up has no body here.
        return match &outcome.body[..] {
            [] => payload("Runtime.ExitError", "Error: Runtime exited without providing a reason"),
            _ => Some(outcome.body.clone()),
        };
    }
    if outcome.body.len() > SYNC_ANSWER {
        let message =
            format!("Response payload size exceeded maximum allowed payload size ({SYNC_ANSWER} bytes).");
        return payload("Function.ResponseSizeTooLarge", &message);
    }
    if let Some(rest) = outcome.body.strip_prefix(b"Task timed out after ") {
        let message = format!("Error: Task timed out after {}", String::from_utf8_lossy(rest));
        return payload("Sandbox.Timedout", &message);
    }
    // The emulator does not tell apart what a function answers from what it reports as its error.
    let begins = outcome.body.first() == Some(&b'{') && outcome.body.len() < 1 << 16;
    let object: Value = begins.then(|| serde_json::from_slice(&outcome.body).ok()).flatten()?;
    (object.get("errorType").is_some() && object.get("errorMessage").is_some()).then(|| outcome.body.clone())
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn error(status: StatusCode, kind: &str, message: &str) -> Answer {
    let body = json!({ "Type": "User", "Message": message, "message": message });
    let answer = Response::builder()
        .status(status)
        .header("X-Amzn-ErrorType", kind)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())));
    answer.unwrap_or_else(|error| panic!("an answer: {error}"))
}

fn throttled(reason: &str, retry_after: Option<u64>) -> Answer {
    let body = json!({ "Type": "User", "Reason": reason, "message": "Rate Exceeded." });
    let mut answer = Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header("X-Amzn-ErrorType", "TooManyRequestsException")
        .header("Content-Type", "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header(RETRY_AFTER, seconds);
    }
    answer.body(Full::new(Bytes::from(body.to_string()))).unwrap_or_else(|error| panic!("an answer: {error}"))
}

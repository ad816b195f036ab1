//! What a call asks for, and whether its caller may.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use rustwren_core::auth::Denied;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::protocol::calls::{DETACH, HEALTH, HEALTH_BEHIND_A_PLATFORM, INVOKE, METRICS, OBJECTS};

use super::connections::State;
use super::reply::Reply;
use super::{Shared, custom_handler, invoke, objects};

/// Answers a call.
pub(super) async fn handle(shared: &Arc<Shared>, request: Request<Incoming>, state: &State) -> Reply {
    let reply = route(shared, request, state).await;
    shared.metrics.answered(reply.status());
    reply
}

async fn route(shared: &Arc<Shared>, request: Request<Incoming>, state: &State) -> Reply {
    if shared.custom.is_some() {
        state.trust();
        return custom_handler::answer(shared, request).await;
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, HEALTH | HEALTH_BEHIND_A_PLATFORM) => return health(shared),
        (&Method::GET, METRICS) if shared.config.metrics => {
            return Reply::text(StatusCode::OK, shared.metrics.render(shared));
        }
        _ => {}
    }
    let check = match shared.gate.check(&request) {
        Ok(check) => check,
        Err(denied) => {
            shared.metrics.denied.count();
            if let Denied::Time(_) = denied {
                // Somebody with the secret, so this is worth a word.
                tracing::warn!("a call is denied: {denied}; set the clocks of both machines");
            } else {
                tracing::debug!("a call is denied: {denied}");
            }
            return unauthorized();
        }
    };
    state.trust();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    match (&head.method, path) {
        (&Method::POST, INVOKE) => invoke::invoke(shared, body, check).await,
        (&Method::POST, DETACH) => invoke::detach(shared, body, check).await,
        (method, OBJECTS) if shared.config.serve_storage => {
            objects::answer(shared, method, head.uri.query().unwrap_or_default(), body, check).await
        }
        _ => {
            let message = format!("the runtime does not know {} {path}", head.method);
            let error = BackendError::new(ErrorClass::Misconfigured, message);
            let hint =
                "a runtime serves its storage when it was started with `--storage`, or with `serve_storage`";
            let error = if path == OBJECTS { error.with_hint(hint) } else { error };
            Reply::error(&error).with_status(StatusCode::NOT_FOUND)
        }
    }
}

fn health(shared: &Shared) -> Reply {
    if shared.is_draining() {
        return Reply::text(StatusCode::SERVICE_UNAVAILABLE, "ending\n");
    }
    Reply::text(StatusCode::OK, "ok\n")
}

/// What everybody hears who has no secret, whatever they ask for.
pub(super) fn unauthorized() -> Reply {
    Reply::text(StatusCode::UNAUTHORIZED, "unauthorized\n")
}

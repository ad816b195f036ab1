//! Invocations that come as messages of a queue, one request of the host for each. What is kept of them in storage is told
//! in [`rustwren_core::protocol::queued`].
//!
//! The host deletes a message whose request was answered with 200. After anything else, or when the handler is gone, it
//! comes again, to whatever worker; after a few times it goes to the poison queue. So anything else is answered only where
//! another try may do better, and an invocation that was begun is never begun again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation};
use rustwren_core::protocol::answer::{Answer, PREAMBLE};
use rustwren_core::protocol::invocation;
use rustwren_core::protocol::json::Enveloped;
use rustwren_core::protocol::queued::{Place, Queued};
use rustwren_core::storage::{PutOutcome, Storage};
use rustwren_runtime::Life;
use rustwren_runtime::host::Room;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::invoke::ToLog;
use super::reply::Reply;
use super::{Shared, body};

/// The largest answer: results beyond three quarters of it are objects of their own.
const ANSWER: usize = 8 << 20;
/// How often it is looked whether the answer is still wanted.
const WANTED: Duration = Duration::from_secs(2);
/// How often a text may have been made JSON of, once over the other: the host's source does it once more than its
/// documentation shows.
const WRAPPED: usize = 3;

/// A request for a trigger other than HTTP.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trigger {
    /// The message, under the name of its binding.
    data: Map<String, Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// `POST /<function>`
pub(super) async fn answer(shared: &Arc<Shared>, body: Incoming) -> Reply {
    let bytes = match body::read(shared, body, None).await {
        Ok(bytes) => bytes,
        Err(reply) => return reply,
    };
    let done = match read(&bytes) {
        Ok(queued) => run(shared, queued).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(log) => Reply::json(StatusCode::OK, &json!({ "Outputs": {}, "Logs": [log], "ReturnValue": null })),
        Err(error) => {
            tracing::warn!(%error, "a queued invocation is left to another try");
            Reply::error(&error).with_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The message in a request.
fn read(bytes: &[u8]) -> Result<Queued, BackendError> {
    let foreign = |what: String| {
        BackendError::new(
            ErrorClass::Misconfigured,
            format!("a message of the queue is not RustWren's: {what}"),
        )
        .with_hint("nobody else may use the queue")
    };
    let trigger: Trigger = serde_json::from_slice(bytes).map_err(|error| foreign(error.to_string()))?;
    let Enveloped(bytes) = trigger
        .data
        .values()
        .find_map(|value| enveloped(value, WRAPPED))
        .ok_or_else(|| foreign("there is no invocation in it".to_owned()))?;
    if let Some(count) = trigger.metadata.get("DequeueCount") {
        tracing::debug!(%count, "a queued invocation");
    }
    Queued::decode(&bytes)
}

fn enveloped(value: &Value, wrapped: usize) -> Option<Enveloped> {
    match value {
        Value::String(text) if wrapped > 0 => enveloped(&serde_json::from_str(text).ok()?, wrapped - 1),
        Value::Object(_) => Enveloped::deserialize(value).ok(),
        _ => None,
    }
}

/// Runs it, unless somebody has. What there is to say is for the host's log.
async fn run(shared: &Arc<Shared>, queued: Queued) -> Result<String, BackendError> {
    let Queued { place, answered, invocation } = queued;
    let storage = Arc::clone(shared.host.storage());
    let answer_key = place.answer()?;
    // Before it is claimed: one that waits here is nobody's yet, should this worker end.
    let slots = if answered { &shared.slots } else { &shared.detached_slots };
    let Some(_place) = slots.wait().await else {
        return Err(BackendError::new(ErrorClass::Transient, "the runtime is about to end"));
    };
    if storage.put_if_absent(&place.taken()?, Bytes::new()).await? == PutOutcome::Exists {
        let told = "its worker is gone, and what it had done with it";
        let error = BackendError::new(ErrorClass::WorkerCrashed, told);
        if answered {
            storage.put_if_absent(&answer_key, refused(&error)).await?;
        }
        return Ok("taken before: not run again".to_owned());
    }
    let invocation = match fetch(&*storage, &place, invocation).await {
        Ok(invocation) => invocation,
        Err(error) if answered => {
            storage.put_if_absent(&answer_key, refused(&error)).await?;
            return Ok(format!("refused: {error}"));
        }
        // It has been claimed, so nobody would run it: there is nothing to be had from another try.
        Err(error) => return Ok(format!("refused: {error}")),
    };
    let life = Life::For(shared.config.queue_duration);
    let elements = invocation.count;
    shared.metrics.elements.add(u64::from(elements));
    if !answered {
        shared.metrics.detached.count();
        detached(shared, invocation, life).await;
        storage.delete(&place.taken()?).await?;
        return Ok("a detached invocation is over".to_owned());
    }
    shared.metrics.invocations.count();
    let answer = tokio::select! {
        answer = shared.host.answer(invocation, life, Room::body(ANSWER)) => answer,
        () = unwanted(shared, &place) => return Ok("not wanted any more".to_owned()),
    };
    storage.put_if_absent(&answer_key, answer.into()).await?;
    Ok(format!("an invocation of {elements} elements is over"))
}

async fn fetch(
    storage: &dyn Storage,
    place: &Place,
    inline: Option<Vec<u8>>,
) -> Result<Invocation, BackendError> {
    if let Some(bytes) = inline {
        return invocation::decode(&bytes);
    }
    let key = place.invocation()?;
    let bytes = storage.get(&key).await?;
    storage.delete(&key).await?;
    invocation::decode(&bytes)
}

fn refused(error: &BackendError) -> Bytes {
    let mut answer = PREAMBLE.to_vec();
    Answer::append_refused(&mut answer, error);
    answer.into()
}

async fn detached(shared: &Shared, invocation: Invocation, life: Life) {
    let label = invocation.job.label.clone();
    let events: Arc<dyn Events> = Arc::new(ToLog);
    match shared.detached_host.invoke(invocation, life, Room::STREAM, &events).await {
        Ok(reply) if reply.stopped.is_none() => {}
        Ok(reply) => {
            tracing::warn!(job = label, stopped = ?reply.stopped, "a detached invocation was not done");
        }
        Err(error) => tracing::warn!(job = label, %error, "a detached invocation has failed"),
    }
}

/// Completes when there is an answer that is not this worker's.
async fn unwanted(shared: &Shared, place: &Place) {
    let Ok(key) = place.answer() else { return std::future::pending().await };
    let mut ticks = interval(WANTED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match shared.host.storage().head(&key).await {
            Ok(_) => return,
            Err(error) if error.class() == ErrorClass::NotFound => {}
            Err(error) => tracing::debug!(%error, "it cannot be seen whether an invocation is still wanted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> (Queued, String) {
        let queued = Queued { place: Place::new("job", 7), answered: true, invocation: Some(vec![1, 2]) };
        let text = String::from_utf8(queued.to_json().unwrap()).unwrap();
        (queued, text)
    }

    #[test]
    fn a_message_is_read_however_often_it_was_encoded() {
        let (queued, text) = message();
        let once = Value::String(text.clone());
        let twice = Value::String(once.to_string());
        let object: Value = serde_json::from_str(&text).unwrap();
        for value in [once, twice, object] {
            let body = json!({ "Data": { "any name": value }, "Metadata": { "DequeueCount": "1" } });
            assert_eq!(read(body.to_string().as_bytes()).unwrap(), queued, "{body}");
        }
    }

    #[test]
    fn others_messages_are_refused_with_the_mend() {
        for body in [
            "",
            "{}",
            r#"{"Data":{}}"#,
            r#"{"Data":{"message":"hello"}}"#,
            r#"{"Data":{"message":"{\"rustwren\":\"AA==\"}"}}"#,
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.class() == ErrorClass::Misconfigured && error.hint().is_some(), "{body}: {error}");
        }
    }
}

//! The queue trigger: messages to handlers, and what becomes of them after.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::instance::{Slot, whole};
use super::queue::{Message, Queue};
use super::{QueueTrigger, Shared};

/// How often an empty queue is looked at. The real host begins so and comes to look once a minute.
const LOOK: Duration = Duration::from_millis(50);
/// For how long a message that was received is nobody else's, in seconds; the real host makes it longer as needed.
const HIDDEN: u32 = 600;

/// Makes the queue, and that of what is poison, as setup does.
pub(super) async fn make_queues(trigger: &QueueTrigger) {
    for url in [&trigger.url, &trigger.poison_url] {
        let queue = Queue { url: url.clone(), sas: trigger.sas.clone() };
        queue.create().await.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Polls until the host ends.
pub(super) async fn poll(shared: Arc<Shared>, trigger: QueueTrigger) {
    let sas = trigger.sas.clone();
    let queue = Queue { url: trigger.url.clone(), sas: sas.clone() };
    let poison = Queue { url: trigger.poison_url.clone(), sas };
    let trigger = Arc::new(trigger);
    loop {
        // Looked at first for a place, as an instance that is full receives nothing.
        let Some(slot) = Slot::free(&shared).await else { return std::future::pending().await };
        match queue.receive(HIDDEN).await {
            Ok(Some(message)) => {
                slot.count();
                shared.change(|state| state.seen.messages += 1);
                let (shared, trigger) = (Arc::clone(&shared), Arc::clone(&trigger));
                let (queue, poison) = (queue.clone(), poison.clone());
                tokio::spawn(async move {
                    let done = invoke(&slot, &trigger, &message).await;
                    let settled = settle(&shared, &trigger, (&queue, &poison), &message, done).await;
                    if let Err(error) = settled {
                        eprintln!("functions host: {error}");
                    }
                });
                continue;
            }
            Ok(None) => {}
            Err(error) => eprintln!("functions host: {error}"),
        }
        drop(slot);
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes a message that is done; gives back one that is not, or declares it poison.
async fn settle(
    shared: &Shared,
    trigger: &QueueTrigger,
    (queue, poison): (&Queue, &Queue),
    message: &Message,
    done: Result<(), String>,
) -> Result<(), String> {
    let Err(error) = done else { return queue.delete(message).await };
    eprintln!("functions host: message {} for the {}. time: {error}", message.id, message.dequeued);
    if message.dequeued < trigger.max_dequeue {
        return queue.give_back(message).await;
    }
    poison.send(&message.text).await?;
    queue.delete(message).await?;
    shared.change(|state| state.seen.poisoned += 1);
    Ok(())
}

/// What a handler answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "that they are there is what is looked at")]
struct Answer {
    outputs: serde_json::Map<String, Value>,
    logs: Vec<String>,
    return_value: Value,
}

async fn invoke(slot: &Slot, trigger: &QueueTrigger, message: &Message) -> Result<(), String> {
    let text = STANDARD.decode(&message.text).map_err(|error| format!("its text is not base64: {error}"))?;
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    let string = |text: &str| Value::String(text.to_owned());
    let encoded = |text: &str| Value::String(string(text).to_string());
    let data = if trigger.encoded_twice { encoded(&text) } else { string(&text) };
    let body = json!({
        "Data": { "message": data },
        "Metadata": {
            "Id": encoded(&message.id),
            "DequeueCount": message.dequeued.to_string(),
            "PopReceipt": encoded(&message.receipt),
            "InsertionTime": encoded(&message.inserted),
            "ExpirationTime": encoded(&message.expires),
            "NextVisibleTime": encoded(&message.visible),
            "sys": { "MethodName": trigger.function, "RandGuid": format!("{:032x}", fastrand::u128(..)) },
        },
    });
    let request = Request::post(format!("/{}", trigger.function))
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header("x-azure-functions-invocationid", format!("{:032x}", fastrand::u128(..)))
        .body(whole(body.to_string()))
        .map_err(|error| error.to_string())?;
    let answer = slot.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status} {}", String::from_utf8_lossy(&body)));
    }
    let _: Answer = serde_json::from_slice(&body)
        .map_err(|error| format!("{error} in {}", String::from_utf8_lossy(&body)))?;
    Ok(())
}

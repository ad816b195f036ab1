//! What may happen to messages: they come twice, they are large, nobody can run them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustwren_azure::queue::SendOptions;
use rustwren_core::codec;
use rustwren_core::entry::Call;
use rustwren_core::error::ErrorClass;
use rustwren_core::invoker::{Events, Invocation, Invoker, JobSpec, LogLine, Passing, Payload, ResultBatch};
use rustwren_core::protocol::invocation;
use rustwren_core::protocol::queued::{Place as Objects, Queued};
use rustwren_core::protocol::records::append_input;
use rustwren_core::storage::{PutOutcome, StorageExt as _};
use rustwren_testkit::invoker_suite::{BAD, program};

use crate::place::{Place, Plan};

#[derive(Default)]
struct Elements(Mutex<u32>);

impl Events for Elements {
    fn results(&self, _: u64, batch: ResultBatch) {
        *self.0.lock().unwrap() += batch.count;
    }

    fn started(&self, _: u64) {}

    fn log(&self, _: u64, _: LogLine) {}
}

fn job(place: &Place, name: &str, shared: Option<Payload>) -> JobSpec {
    JobSpec { shared, ..program::job(place.image, name, Call::Map) }
}

fn sent(job: JobSpec, elements: &[Vec<u8>]) -> Invocation {
    let mut records = Vec::new();
    for element in elements {
        append_input(&mut records, |out| codec::encode(element, out)).unwrap();
    }
    Invocation {
        job: Arc::new(job),
        id: 7,
        first: 0,
        count: elements.len() as u32,
        attempt: 1,
        concurrency: 1,
        whole: true,
        passing: Passing::default(),
        inputs: Payload::Inline(vec![records.into()]),
    }
}

pub(crate) async fn trouble() {
    let plan = Plan { queue: true, encoded_twice: false, ..Plan::default() };
    let place = Place::new(plan).await;
    let invoker = place.invoker("queue", 4);
    too_large_for_a_message(&place, &invoker).await;
    a_message_that_comes_twice(&place).await;
    a_handler_that_dies(&place, &invoker).await;
    detached(&place, &invoker).await;
    others_messages_are_poison(&place).await;
}

async fn echo(place: &Place, invoker: &dyn Invoker, elements: &[Vec<u8>]) {
    let heard = Arc::new(Elements::default());
    let events: Arc<dyn Events> = Arc::clone(&heard) as _;
    let reply = invoker.invoke(sent(job(place, "echo", None), elements), &events).await.unwrap();
    let all = *heard.0.lock().unwrap() + reply.results.iter().map(|batch| batch.count).sum::<u32>();
    assert_eq!((all, reply.stopped), (elements.len() as u32, None));
}

async fn too_large_for_a_message(place: &Place, invoker: &dyn Invoker) {
    echo(place, invoker, &[vec![7; 200_000]]).await;
    assert_eq!(place.storage.list_all("jobs/suite-echo/").await.unwrap(), [], "nothing of it stays");
}

/// The first that claims it runs it; who comes later says what became of it, and does not run it again.
async fn a_message_that_comes_twice(place: &Place) {
    let objects = Objects::new("suite-echo", 1);
    let bytes = invocation::encode(&sent(job(place, "echo", None), &[vec![1]])).unwrap();
    let message = Queued { place: objects.clone(), answered: true, invocation: Some(bytes) };
    let text = message.to_json().unwrap();
    // Taken by a worker that is gone.
    let taken = place.storage.put_if_absent(&objects.taken().unwrap(), Bytes::new()).await.unwrap();
    assert_eq!(taken, PutOutcome::Created);
    let messages = place.host.seen().messages;
    place.queue("").send(&text, SendOptions::default()).await.unwrap();
    place.host.wait_until(|seen| seen.messages > messages).await;
    let answer = until_stored(place, &objects).await;
    let heard = Arc::new(Elements::default());
    let events: Arc<dyn Events> = Arc::clone(&heard) as _;
    let mut listener = rustwren_core::protocol::listener::Listener::new(7, &events);
    listener.hear(&answer).unwrap();
    assert_eq!(listener.end().unwrap_err().class(), ErrorClass::WorkerCrashed);
    assert_eq!(*heard.0.lock().unwrap(), 0, "it was not run again");
    for key in [objects.taken(), objects.answer()] {
        place.storage.delete(&key.unwrap()).await.unwrap();
    }
}

/// The answer, once it is there.
async fn until_stored(place: &Place, objects: &Objects) -> Bytes {
    let key = objects.answer().unwrap();
    loop {
        match place.storage.get(&key).await {
            Ok(answer) => return answer,
            Err(error) if error.class() == ErrorClass::NotFound => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The runtime itself is killed over an invocation. The host gives the message to the next, which knows that it was begun.
async fn a_handler_that_dies(place: &Place, invoker: &dyn Invoker) {
    let heard = Arc::new(Elements::default());
    let events: Arc<dyn Events> = Arc::clone(&heard) as _;
    let looping = sent(job(place, "looping", None), &[BAD.to_vec()]);
    let running = invoker.invoke(looping, &events);
    let killing = async {
        // Claimed, so begun.
        while place.storage.list_all("jobs/suite-looping/queued/").await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        place.host.kill_handler(0);
    };
    let (ended, ()) = tokio::join!(running, killing);
    assert_eq!(ended.unwrap_err().class(), ErrorClass::WorkerCrashed);
    echo(place, invoker, &[vec![1], vec![2]]).await;
}

async fn detached(place: &Place, invoker: &dyn Invoker) {
    let before = place.host.seen().messages;
    invoker.invoke_detached(sent(job(place, "echo", None), &[vec![1]])).await.unwrap();
    place.host.wait_until(|seen| seen.messages > before).await;
    while place.queue("").length().await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(place.storage.list_all("jobs/suite-echo/").await.unwrap(), [], "nothing of it stays");
    assert_eq!(place.host.seen().poisoned, 0);
}

/// What cannot be read is tried as often as anything, and then put aside.
async fn others_messages_are_poison(place: &Place) {
    let messages = place.host.seen().messages;
    place.queue("").send(b"hello", SendOptions::default()).await.unwrap();
    place.host.wait_until(|seen| seen.poisoned == 1).await;
    assert_eq!(place.host.seen().messages - messages, 3, "as often as `maxDequeueCount` says");
    let poison = place.queue("-poison").receive(2, std::time::Duration::from_secs(1)).await.unwrap();
    assert_eq!(poison.iter().map(|message| message.body().unwrap()).collect::<Vec<_>>(), ["hello"]);
}

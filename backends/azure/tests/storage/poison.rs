//! Who waits for an invocation that nobody could run is told so.

use std::sync::Arc;
use std::time::Duration;

use rustwren_azure::FunctionsInvoker;
use rustwren_azure::client::Credentials;
use rustwren_azure::config::{COMPUTE, ComputeConfig};
use rustwren_azure::queue::{Queue, SendOptions};
use rustwren_core::config::Settings;
use rustwren_core::entry::Call;
use rustwren_core::error::ErrorClass;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invoker as _, LogLine, ResultBatch};
use rustwren_core::storage::{Storage, StorageExt as _};
use rustwren_testkit::invoker_suite::{invocation, program};
use rustwren_testkit::standins::Azurite;

use crate::place;

/// Hears nothing, since nothing runs.
struct Nothing;

impl Events for Nothing {
    fn results(&self, _: u64, batch: ResultBatch) {
        panic!("nobody runs it: {batch:?}");
    }

    fn started(&self, id: u64) {
        panic!("nobody runs it: {id}");
    }

    fn log(&self, _: u64, line: LogLine) {
        panic!("nobody runs it: {line:?}");
    }
}

#[tokio::test]
async fn a_client_is_told_of_its_poisoned_message_and_of_no_other() {
    let azurite = Azurite::start();
    let access = || place::access(azurite.queue_endpoint(), Credentials::Key(Azurite::KEY.to_owned()));
    let queue = Queue::open(&access(), "wrens").unwrap();
    let poison = Queue::open(&access(), "wrens-poison").unwrap();
    for queue in [&queue, &poison] {
        queue.create().await.unwrap();
    }
    let settings = [("app", "wren"), ("trigger", "queue"), ("queue", "wrens"), ("workers", "2")];
    let mut config =
        ComputeConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", settings).unwrap()).unwrap();
    config.access = access();
    let storage: Arc<dyn Storage> = Arc::new(place::storage(&azurite));
    let invoker = FunctionsInvoker::new(&config, Arc::clone(&storage)).unwrap();
    let job = program::job(ImageId([7; 32]), "echo", Call::Map);
    let events: Arc<dyn Events> = Arc::new(Nothing);

    // The host of functions, whose handler fails each time.
    let host = async {
        let message = loop {
            if let Some(message) = queue.receive(1, Duration::from_mins(5)).await.unwrap().pop() {
                break message;
            }
            tokio::task::yield_now().await;
        };
        poison.send(b"a message of somebody else's", SendOptions::default()).await.unwrap();
        poison.send(&message.body().unwrap(), SendOptions::default()).await.unwrap();
        assert!(queue.delete(&message).await.unwrap());
    };
    let (told, ()) = tokio::join!(invoker.invoke(invocation(&job, &[vec![1]]), &events), host);
    let error = told.unwrap_err();
    assert_eq!(error.class(), ErrorClass::WorkerCrashed, "{error}");
    assert!(error.to_string().contains("declared poison"), "{error}");
    assert!(error.hint().unwrap_or_default().contains("the app's log"), "{error}: {:?}", error.hint());
    // It is taken away, and that of others is left for them.
    assert_eq!(poison.length().await.unwrap(), 1);
    assert_eq!(storage.list_all("jobs/").await.unwrap(), [], "nothing of it stays");
    invoker.shutdown().await;
}

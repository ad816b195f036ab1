//! Signatures that are part of URLs are in no log, at any level, and in no error.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use rustwren_azure::BlobStorage;
use rustwren_azure::client::Credentials;
use rustwren_azure::queue::{Queue, SendOptions};
use rustwren_core::error::BackendError;
use rustwren_core::redact::Redacting;
use rustwren_core::storage::{Key, Storage as _};
use rustwren_testkit::standins::{Azurite, Front, Verdict};

use crate::place;

/// Everything that was written, for all who write.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// As the command and the runtime log, and everything.
fn subscriber(log: &Log) -> impl tracing::Subscriber + Send + Sync + 'static {
    let log = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || Redacting(log.clone()))
        .finish()
}

fn storage(endpoint: &str, container: &str, sas: &str) -> BlobStorage {
    let mut config = place::config("http://127.0.0.1:1", container.to_owned());
    config.access = place::access(Azurite::endpoint_of(endpoint), Credentials::Sas(sas.to_owned()));
    BlobStorage::open(&config).unwrap()
}

/// Every kind of request that a signature is sent with.
async fn transfer(storage: &BlobStorage) {
    let (small, large) = (Key::new("small").unwrap(), Key::new("large").unwrap());
    storage.put(&small, Bytes::from_static(b"x")).await.unwrap();
    // In blocks.
    let data = Bytes::from(vec![7; 5 << 20]);
    storage.put_if_absent(&large, data.clone()).await.unwrap();
    assert_eq!(storage.get(&large).await.unwrap(), data);
    let listed: Vec<_> = storage.list("").try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    storage.delete(&small).await.unwrap();
}

fn told(error: &BackendError) -> String {
    format!("{error} {error:?} {:?}", error.hint())
}

#[tokio::test]
async fn signatures_are_in_no_log_and_no_error() {
    let azurite = Azurite::start();
    let sas = azurite.sas("2125-01-01T00:00:00Z");
    let container = azurite.new_container();
    let log = Log::default();
    // Of this thread, which is the only one here.
    let guard = tracing::subscriber::set_default(subscriber(&log));

    transfer(&storage(&place::address(&azurite), &container, &sas)).await;
    let queue =
        Queue::open(&place::access(azurite.queue_endpoint(), Credentials::Sas(sas.clone())), "signatures")
            .unwrap();
    queue.create().await.unwrap();
    let now = SendOptions { delay: Duration::ZERO, keep: None };
    queue.send(b"body", now).await.unwrap();
    assert_eq!(queue.receive(1, Duration::from_mins(5)).await.unwrap().len(), 1);

    let mut errors = Vec::new();
    let missing = storage(&place::address(&azurite), "not-there", &sas);
    errors.push(missing.put(&Key::new("k").unwrap(), Bytes::new()).await.unwrap_err());
    // One that is not right; one that nobody answers; and one whose answers break off.
    let wrong = sas.replace("rwdlacup", "rwdlacu");
    let forged = storage(&place::address(&azurite), &container, &wrong);
    errors.push(forged.get(&Key::new("large").unwrap()).await.unwrap_err());
    for verdict in [Verdict::Drop, Verdict::CutAnswer(1)] {
        let front = Front::before(azurite.blob_address(), move |_| verdict.clone());
        let broken = storage(&front.endpoint(), &container, &sas);
        errors.push(broken.get(&Key::new("large").unwrap()).await.unwrap_err());
    }
    drop(guard);

    let signature = sas.split_once("sig=").unwrap().1.split('&').next().unwrap();
    let plain = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let text = log.text();
    assert!(text.contains("sig=REDACTED"), "URLs are logged at this level, or nothing is tried here: {text}");
    for secret in [signature, &plain] {
        for (line, text) in text.lines().enumerate() {
            assert!(!text.contains(secret), "line {line} of the log: {text}");
        }
        for error in &errors {
            assert!(!told(error).contains(secret), "{error}");
        }
    }
}

/// The crates below do write URLs; what they write passes through here.
#[test]
fn what_others_write_is_redacted() {
    let log = Log::default();
    tracing::subscriber::with_default(subscriber(&log), || {
        let url = "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2&X-Amz-Date=1";
        tracing::trace!(url, "GET /c/b?sv=1&sig=hunter2%3D&se=2");
    });
    let text = log.text();
    assert!(
        text.contains("sig=REDACTED&se=2") && text.contains("X-Amz-Signature=REDACTED&X-Amz-Date=1"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

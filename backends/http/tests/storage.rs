//! Storage that is served by a runtime keeps the contract of storages.
#![expect(clippy::unwrap_used, reason = "what tests share stands outside of them, where clippy looks")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::Runtime;
use rustwren_core::auth::Secrets;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{Key, MemoryStorage, Storage, StorageExt};
use rustwren_directory::DirectoryStorage;
use rustwren_http::{Client, ClientOptions, HttpStorage, Protocol, Signed};
use rustwren_testkit::storage_suite::run_all;

fn storage(options: &ClientOptions) -> HttpStorage {
    HttpStorage::new(Client::new(options).unwrap(), Duration::from_mins(1))
}

async fn keeps_the_contract(protocol: Protocol) {
    let dir = tempfile::tempdir().unwrap();
    let directory = DirectoryStorage::open(dir.path().join("objects")).unwrap();
    let runtime = Runtime::start(Arc::new(directory), dir.path(), &[]).await;
    run_all(Arc::new(storage(&runtime.client(protocol))), &[]).await;
    runtime.end().await;
}

#[tokio::test]
async fn over_http1() {
    keeps_the_contract(Protocol::Http1).await;
}

#[tokio::test]
async fn over_http2() {
    keeps_the_contract(Protocol::Http2).await;
}

#[tokio::test]
async fn lists_longer_than_a_page_are_whole() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), MemoryStorage::new());
    let expected: Vec<Key> = (0..2500).map(|k| Key::new(format!("k/{k:04} %")).unwrap()).collect();
    for key in &expected {
        memory.put(key, bytes::Bytes::from_static(b"x")).await.unwrap();
    }
    let runtime = Runtime::start(Arc::new(memory), dir.path(), &[]).await;
    let storage = storage(&runtime.client(Protocol::Auto));
    let listed = storage.list_all("k/").await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|object| object.key).collect();
    assert_eq!(listed, expected);
    runtime.end().await;
}

#[tokio::test]
async fn errors_have_classes_and_hints() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new("k").unwrap());
    let small = [("max_body", "1KiB")];
    let runtime = Runtime::start(Arc::new(MemoryStorage::new()), dir.path(), &small).await;
    let good = runtime.client(Protocol::Auto);

    let error = storage(&good).get(&key).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    let error = storage(&good).put(&key, vec![0; 2000].into()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid);
    assert!(error.hint().unwrap().contains("max_body"), "{error}");

    let access = Signed::new(&Secrets::parse(&"x".repeat(40)).unwrap()).unwrap();
    let other = ClientOptions { access: Arc::new(access), ..good.clone() };
    let error = storage(&other).get(&key).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied);
    assert!(error.hint().unwrap().contains("secret"), "{error}");
    runtime.end().await;

    let error = storage(&good).get(&key).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);

    let none =
        Runtime::start(Arc::new(MemoryStorage::new()), dir.path(), &[("serve_storage", "false")]).await;
    let error = storage(&none.client(Protocol::Auto)).get(&key).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert!(error.hint().unwrap().contains("--storage"), "{error}");
    none.end().await;
}

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/ca.pem");
const TLS: [(&str, &str); 2] = [
    ("tls_cert", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/cert.pem")),
    ("tls_key", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/key.pem")),
];

#[tokio::test]
async fn over_tls() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new("k").unwrap());
    let runtime = Runtime::start(Arc::new(MemoryStorage::new()), dir.path(), &TLS).await;
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Auto] {
        let options = ClientOptions { tls_ca: Some(CA.into()), ..runtime.client(protocol) };
        let storage = storage(&options);
        storage.put(&key, bytes::Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(storage.get(&key).await.unwrap(), "x", "{protocol:?}");
    }
    // An authority that has signed something else: the certificate itself.
    let options = ClientOptions { tls_ca: Some(TLS[0].1.into()), ..runtime.client(Protocol::Auto) };
    let error = storage(&options).get(&key).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
    assert!(error.hint().unwrap().contains("tls_ca"), "{error}");
    runtime.end().await;
}

//! What the service says when something is wrong: each is an error of its class with its mend, from every operation.

use std::time::Duration;

use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, Storage, StorageExt};
use rustwren_gcp::GcsStorage;
use rustwren_gcp::client::{Access, Token};
use rustwren_testkit::standins::{Gcs, Verdict};

use crate::place::{Scene, config, key, large};

/// The errors of every operation.
async fn all_errors(storage: &GcsStorage) -> Vec<BackendError> {
    let k: Key = key("k");
    vec![
        storage.put(&k, Bytes::from_static(b"v")).await.unwrap_err(),
        storage.put_if_absent(&k, Bytes::from_static(b"v")).await.unwrap_err(),
        storage.put(&k, large()).await.unwrap_err(),
        storage.get(&k).await.unwrap_err(),
        storage.get_range(&k, 1..2).await.unwrap_err(),
        storage.head(&k).await.unwrap_err(),
        storage.list_all("").await.unwrap_err(),
        storage.delete(&k).await.unwrap_err(),
    ]
}

/// Checks that each is of this class, names where it happened, and has a hint with these words.
#[track_caller]
fn assert_all(errors: &[BackendError], class: ErrorClass, words: &str, mend: &str) {
    for error in errors {
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains("/a prefix/of ours"), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().unwrap_or_default().contains(mend), "{error}\nhint: {:?}", error.hint());
    }
}

#[tokio::test]
async fn every_operation_names_what_is_wrong_and_the_mend() {
    let scene = Scene::quiet().await;
    for (status, reason, message, class, mend) in [
        (401, "authError", "Invalid Credentials", ErrorClass::Denied, "anonymous = false"),
        (403, "forbidden", "x@y does not have access", ErrorClass::Denied, "roles/storage.objectUser"),
        (
            404,
            "notFound",
            "The specified bucket does not exist.",
            ErrorClass::Misconfigured,
            "buckets create",
        ),
        (307, "moved", "Elsewhere", ErrorClass::Misconfigured, "endpoint"),
    ] {
        scene.gcs.judge(move |_| Verdict::gcs_error(status, reason, message, &[]));
        assert_all(&all_errors(&scene.storage).await, class, message, mend);
    }
}

#[tokio::test]
async fn tokens_are_sent_until_they_expire() {
    let gcs = Gcs::start();
    let mut config = config(gcs.endpoint(), gcs.new_bucket());
    let token = Token("a token".to_owned());
    config.access = Access { endpoint: Some(gcs.endpoint()), token: Some(token), ..Access::default() };
    gcs.require_token(Some("a token"));
    let storage = GcsStorage::open(&config).await.unwrap();
    storage.put(&key("k"), large()).await.unwrap();
    storage.put(&key("small"), Bytes::from_static(b"v")).await.unwrap();
    assert!(storage.get(&key("k")).await.unwrap() == large());
    assert_eq!(storage.list_all("").await.unwrap().len(), 2);
    storage.delete(&key("small")).await.unwrap();

    gcs.require_token(Some("the next token"));
    let errors = all_errors(&storage).await;
    assert_all(&errors, ErrorClass::Denied, "Invalid Credentials", "log in again");
    assert!(errors.iter().all(|error| !error.to_string().contains("a token")), "{errors:?}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_missing_object() {
    let gcs = Gcs::start();
    let storage = GcsStorage::open(&config(gcs.endpoint(), "not-there".to_owned())).await.unwrap();
    let errors = all_errors(&storage).await;
    assert_all(&errors, ErrorClass::Misconfigured, "bucket does not exist", "gs://not-there");

    // Servers that do not say what it is that is missing are asked.
    let scene = Scene::new(|request| {
        let is_listing = request.path.contains("maxResults");
        if is_listing { Verdict::Pass } else { Verdict::gcs_error(404, "notFound", "Not Found", &[]) }
    })
    .await;
    assert_eq!(scene.storage.get(&key("k")).await.unwrap_err().class(), ErrorClass::NotFound);
    assert_eq!(scene.storage.head(&key("k")).await.unwrap_err().class(), ErrorClass::NotFound);
    scene.storage.delete(&key("k")).await.unwrap();
    // Once is enough.
    assert_eq!(scene.gcs.served(), 4);
    gcs.judge(|request| {
        let is_listing = request.path.contains("maxResults");
        if is_listing { Verdict::Pass } else { Verdict::gcs_error(404, "notFound", "Not Found", &[]) }
    });
    let error = storage.get(&key("k")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
    let error = storage.delete(&key("k")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
}

#[tokio::test]
async fn nobody_there() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config(format!("http://{address}"), "some-bucket".to_owned());
    let storage = GcsStorage::open(&config).await.unwrap();
    assert_all(&all_errors(&storage).await, ErrorClass::Transient, "gs://some-bucket", "`endpoint`");
}

#[tokio::test]
async fn trouble_that_stays_is_reported_after_a_bounded_number_of_tries() {
    let scene = Scene::new(|_| Verdict::gcs_error(500, "backendError", "Backend Error", &[])).await;
    let error = scene.storage.get(&key("k")).await.unwrap_err();
    assert_eq!((error.class(), scene.gcs.served()), (ErrorClass::Transient, 3), "{error}");
    scene.storage.list_all("").await.unwrap_err();
    assert_eq!(scene.gcs.served(), 6);

    // What asks for too long a pause is the caller's to wait for.
    let later = Verdict::gcs_error(503, "backendError", "Backend Error", &[("retry-after", "60")]);
    let scene = Scene::new(move |_| later.clone()).await;
    let error = scene.storage.put(&key("k"), Bytes::from_static(b"v")).await.unwrap_err();
    let retry_after = Some(Duration::from_mins(1));
    assert_eq!((error.class(), scene.gcs.served()), (ErrorClass::Throttled { retry_after }, 1), "{error}");
}

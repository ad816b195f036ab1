//! What networks and a busy service do: it is hidden.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{PutOutcome, Storage, StorageExt};
use rustwren_testkit::standins::{Request, Verdict};

use crate::place::{Scene, is_content, is_read, key, large};

#[tokio::test]
async fn passing_trouble_is_hidden() {
    let (scene, k) = (Scene::quiet().await, key("k"));
    for verdict in [
        Verdict::gcs_error(429, "rateLimitExceeded", "Too many requests", &[]),
        Verdict::gcs_error(503, "backendError", "Backend Error", &[("retry-after", "0")]),
        Verdict::gcs_error(500, "backendError", "Backend Error", &[]),
        Verdict::Drop,
        Verdict::LoseAnswer,
        Verdict::CutAnswer(5),
    ] {
        let before = scene.gcs.served();
        scene.trouble(2, |_| true, verdict.clone());
        scene
            .storage
            .put(&k, Bytes::from_static(b"v"))
            .await
            .unwrap_or_else(|error| panic!("{verdict:?}: {error}"));
        assert_eq!(scene.gcs.served(), before + 3, "{verdict:?}");

        scene.trouble(2, |_| true, verdict.clone());
        assert_eq!(scene.storage.get(&k).await.unwrap_or_else(|error| panic!("{verdict:?}: {error}")), "v");

        scene.trouble(2, |_| true, verdict.clone());
        let listed = scene.storage.list_all("").await;
        assert_eq!(listed.unwrap_or_else(|error| panic!("{verdict:?}: {error}")).len(), 1);

        scene.trouble(2, |request| request.method == "DELETE", verdict.clone());
        scene.storage.delete(&k).await.unwrap_or_else(|error| panic!("{verdict:?}: {error}"));
        assert!(!scene.storage.exists(&k).await.unwrap_or_else(|error| panic!("{verdict:?}: {error}")));
    }
}

#[tokio::test]
async fn an_object_that_is_written_too_often_waits_and_no_other_does() {
    const MESSAGE: &str =
        "The object b/k exceeded the rate limit for object mutation operations (create, update, and delete).";
    let refused = Verdict::gcs_error(429, "rateLimitExceeded", MESSAGE, &[]);
    let is_of_k = |request: &Request| is_content(request) && request.path.contains("ours%2Fk");
    let scene = Scene::times(1, is_of_k, refused.clone()).await;
    let (k, other) = (key("k"), key("other"));
    scene.storage.put(&k, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(scene.gcs.served(), 2);
    scene.storage.put(&other, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(scene.gcs.served(), 3);

    // Whether an object is there can be seen without writing it.
    let before = scene.gcs.served();
    scene.gcs.judge(move |request| if is_of_k(request) { refused.clone() } else { Verdict::Pass });
    let outcome = scene.storage.put_if_absent(&k, Bytes::from_static(b"second")).await.unwrap();
    assert_eq!((outcome, scene.gcs.served()), (PutOutcome::Exists, before + 2));
    assert_eq!(scene.storage.get(&k).await.unwrap(), "v");
}

#[tokio::test]
async fn uploads_go_on_where_they_were_cut() {
    // The first request with content is cut after so many bytes; what came in whole quarters of a mebibyte is kept.
    for (cut, kept) in [(0, 0), (100, 0), (300_000, 262_144), (1_000_000, 786_432)] {
        let (ranges, k) = (Arc::new(Mutex::new(Vec::new())), key("k"));
        let seen = Arc::clone(&ranges);
        let scene = Scene::new(move |request| {
            if request.method != "PUT" {
                return Verdict::Pass;
            }
            let mut seen = seen.lock().unwrap();
            seen.push(request.header("content-range").unwrap_or_default().to_owned());
            if seen.len() == 1 { Verdict::CutRequest(cut) } else { Verdict::Pass }
        })
        .await;
        scene.storage.put(&k, large()).await.unwrap();
        assert!(scene.storage.get(&k).await.unwrap() == large(), "cut after {cut} bytes");
        let sent = ["bytes 0-1099999/1100000".to_owned(), "bytes */1100000".to_owned()];
        let rest = format!("bytes {kept}-1099999/1100000");
        assert_eq!(*ranges.lock().unwrap(), [sent.as_slice(), &[rest]].concat(), "cut after {cut} bytes");
        assert_eq!(scene.gcs.unfinished_uploads(), 0);
    }
}

#[tokio::test]
async fn uploads_that_the_service_forgets_begin_anew() {
    for status in [404, 410] {
        let gone = Verdict::gcs_error(status, "notFound", "No such upload session", &[]);
        let scene = Scene::times(1, |request| request.method == "PUT", gone).await;
        let k = key("k");
        scene.storage.put(&k, large()).await.unwrap();
        assert!(scene.storage.get(&k).await.unwrap() == large());
    }
    let gone = Verdict::gcs_error(410, "gone", "No such upload session", &[]);
    let scene = Scene::times(usize::MAX, |request| request.method == "PUT", gone).await;
    let error = scene.storage.put(&key("k"), large()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    // Begun three times.
    assert_eq!(scene.gcs.served(), 6);
}

#[tokio::test]
async fn an_upload_that_fails_is_cancelled_and_nothing_is_seen_of_it() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let scene = Scene::new(move |request| match request.method.as_str() {
        "PUT" => Verdict::gcs_error(403, "forbidden", "no longer", &[]),
        "DELETE" => {
            tell.send(()).unwrap();
            Verdict::Pass
        }
        _ => Verdict::Pass,
    })
    .await;
    let k = key("k");
    scene.storage.put(&k, Bytes::from_static(b"before")).await.unwrap();
    let error = scene.storage.put(&k, large()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied, "{error}");
    assert_eq!(scene.storage.get(&k).await.unwrap(), "before");
    told.recv().await.unwrap();
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_cancelled() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let scene = Scene::new(move |request| {
        if ["PUT", "DELETE"].contains(&request.method.as_str()) {
            tell.send(request.method.clone()).unwrap();
        }
        if request.method == "PUT" {
            gate.lock().unwrap().recv().unwrap();
            return Verdict::CutRequest(0);
        }
        Verdict::Pass
    })
    .await;
    let k = key("k");
    tokio::select! {
        biased;
        method = told.recv() => assert_eq!(method.as_deref(), Some("PUT")),
        done = scene.storage.put(&k, large()) => panic!("it was to be given up: {done:?}"),
    }
    go.send(()).unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("DELETE"));
    assert!(!scene.storage.exists(&k).await.unwrap());
}

#[tokio::test]
async fn answers_that_end_early_are_asked_for_again() {
    for at in [0, 1, 200_000] {
        let scene = Scene::times(2, is_read, Verdict::CutAnswer(at)).await;
        let k = key("k");
        scene.storage.put(&k, large()).await.unwrap();
        assert!(scene.storage.get(&k).await.unwrap() == large(), "cut at {at}");
        assert!(scene.storage.get_range(&k, 10..600_000).await.unwrap() == large().slice(10..600_000));
    }
}

#[tokio::test]
async fn what_arrives_damaged_is_asked_for_again() {
    let scene = Scene::quiet().await;
    let k = key("k");
    scene.storage.put(&k, Bytes::from_static(b"whole")).await.unwrap();
    let met = AtomicUsize::new(0);
    scene.gcs.judge(move |request| {
        if !is_read(request) || met.fetch_add(1, Ordering::SeqCst) > 0 {
            return Verdict::Pass;
        }
        Verdict::Answer {
            status: 206,
            headers: vec![
                ("x-goog-generation", "1".to_owned()),
                ("x-goog-stored-content-length", "5".to_owned()),
                ("content-range", "bytes 0-4/5".to_owned()),
                ("x-goog-hash", "crc32c=AAAAAA==".to_owned()),
            ],
            body: "whale".to_owned(),
        }
    });
    assert_eq!(scene.storage.get(&k).await.unwrap(), "whole");
}

//! Writes whose answers are lost, and objects that others write meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rustwren_core::storage::{PutOutcome, Storage};
use rustwren_testkit::standins::{Request, Verdict};

use crate::place::{Scene, is_content, is_read, key, large};

/// Before the first request that matches, another client writes this at `k`.
fn overtake(scene: &Scene, matches: fn(&Request) -> bool, data: Bytes, verdict: Verdict) {
    let (other, bucket, met) = (scene.gcs.other_client(), scene.bucket.clone(), AtomicUsize::new(0));
    scene.gcs.judge(move |request| {
        if !matches(request) || met.fetch_add(1, Ordering::SeqCst) > 0 {
            return Verdict::Pass;
        }
        other.write(&bucket, "a prefix/of ours/k", data.clone());
        verdict.clone()
    });
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_its_own() {
    for size in [3, 1_100_000] {
        let scene = Scene::times(1, is_content, Verdict::LoseAnswer).await;
        let (k, data) = (key("k"), large().slice(..size));
        let outcome = scene.storage.put_if_absent(&k, data.clone()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Created, "{size} bytes");
        assert!(scene.storage.get(&k).await.unwrap() == data);
        assert_eq!(scene.storage.put_if_absent(&k, data).await.unwrap(), PutOutcome::Exists);
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_and_that_is_forgotten_is_its_own() {
    // The upload is complete, its answer is lost, and the service no longer knows of it.
    let met = AtomicUsize::new(0);
    let scene = Scene::new(move |request| {
        if request.method != "PUT" {
            return Verdict::Pass;
        }
        match met.fetch_add(1, Ordering::SeqCst) {
            0 => Verdict::LoseAnswer,
            _ => Verdict::gcs_error(410, "gone", "No such upload session", &[]),
        }
    })
    .await;
    assert_eq!(scene.storage.put_if_absent(&key("k"), large()).await.unwrap(), PutOutcome::Created);
}

#[tokio::test]
async fn anothers_write_of_the_same_bytes_is_not_ones_own() {
    // The first attempt comes to nothing and says nothing; meanwhile another writes the same.
    for size in [3, 1_100_000] {
        let scene = Scene::quiet().await;
        let (k, data) = (key("k"), large().slice(..size));
        overtake(&scene, is_content, data.clone(), Verdict::CutRequest(0));
        let outcome = scene.storage.put_if_absent(&k, data.clone()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Exists, "{size} bytes");
        assert!(scene.storage.get(&k).await.unwrap() == data);
        assert_eq!(scene.gcs.unfinished_uploads(), 0);
    }
}

#[tokio::test]
async fn whoever_writes_first_wins_also_while_another_uploads() {
    let scene = Scene::quiet().await;
    let k = key("k");
    overtake(&scene, is_content, Bytes::from_static(b"first"), Verdict::Pass);
    assert_eq!(scene.storage.put_if_absent(&k, large()).await.unwrap(), PutOutcome::Exists);
    assert_eq!(scene.storage.get(&k).await.unwrap(), "first");
}

#[tokio::test]
async fn what_is_replaced_while_it_is_read_is_read_anew() {
    let scene = Scene::quiet().await;
    let (k, first) = (key("k"), large());
    let second = Bytes::from(vec![7; first.len()]);
    scene.storage.put(&k, first).await.unwrap();
    // Before the first part but the first.
    let is_later_part = |request: &Request| is_read(request) && request.path.contains("ifGenerationMatch");
    overtake(&scene, is_later_part, second.clone(), Verdict::Pass);
    let read = scene.storage.get(&k).await.unwrap();
    assert!(read == second, "a mixture, or what was replaced before the reading ended");
}

#[tokio::test]
async fn what_vanishes_while_it_is_read_is_not_there() {
    let scene = Scene::quiet().await;
    let k = key("k");
    scene.storage.put(&k, large()).await.unwrap();
    let (other, bucket) = (scene.gcs.other_client(), scene.bucket.clone());
    scene.gcs.judge(move |request| {
        if request.path.contains("ifGenerationMatch") {
            other.remove(&bucket, "a prefix/of ours/k");
        }
        Verdict::Pass
    });
    let error = scene.storage.get(&k).await.unwrap_err();
    assert_eq!(error.class(), rustwren_core::error::ErrorClass::NotFound, "{error}");
}

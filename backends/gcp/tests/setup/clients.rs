//! By whom Google is called, and operations of Google's clients that go wrong.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use rustwren_core::clock::Clock as _;
use rustwren_core::error::ErrorKind;
use rustwren_core::provision::{LogQuery, Unwatched, Watch};
use rustwren_testkit::standins::google_control::{Course, refusal};
use serde_json::json;

use crate::world::{World, set_up};

/// Refuses the next call with this status, so many times, while an operation is waited for.
struct Meddling<'a> {
    world: &'a World,
    status: u16,
    left: AtomicUsize,
}

impl Watch for Meddling<'_> {
    fn started(&self, _step: usize) {}

    fn done(&self, _step: usize) {}

    fn waiting(&self, _step: usize, why: &str) {
        let left = |left: usize| left.checked_sub(1);
        let is_asked = why == "Google is at it";
        if is_asked && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
            self.world.google.refuse_next(refusal(self.status, "ANY", "not now", &json!([])));
        }
    }
}

#[tokio::test]
async fn control_planes_are_called_by_googles_clients() {
    let mut seen = BTreeSet::new();
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        set_up(&*provisioner).await;
        set_up(&*world.provisioner(&[("route", route), ("memory", "4GiB")]).await).await;
        let changed = world.provisioner(&[("route", route), ("memory", "4GiB")]).await;
        assert!(changed.verify().await.iter().all(|leg| leg.outcome.is_ok()));
        let lines = changed.logs(LogQuery::since(UNIX_EPOCH)).await.unwrap();
        assert!(lines.try_collect::<Vec<_>>().await.unwrap().is_empty());
        let removal = changed.destroy_plan().await.unwrap();
        changed.destroy(&removal, &Unwatched).await.unwrap();
        assert!(world.google.things().is_empty());
        for (host, caller) in world.google.callers() {
            let is_ours = host == "storage.googleapis.com" || host == "upload";
            assert_eq!(caller.is_empty(), is_ours, "{host} is called by {caller:?}");
            assert!(
                is_ours || caller.starts_with("gl-rust/") && caller.contains(" gapic/"),
                "{host}: {caller}"
            );
            seen.insert(host);
        }
    }
    let all = ["cloudfunctions", "iam", "logging", "run", "storage"];
    let all = all.map(|name| format!("{name}.googleapis.com")).into_iter().chain(["upload".to_owned()]);
    assert_eq!(seen, all.collect());
}

#[tokio::test]
async fn an_operation_that_cannot_be_asked_for_a_while_is_asked_again() {
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        world.google.next_operation(Course::After(3));
        let plan = provisioner.plan().await.unwrap();
        let watch = Meddling { world: &world, status: 503, left: AtomicUsize::new(2) };
        provisioner.apply(&plan, &watch).await.unwrap();
        assert_eq!(watch.left.into_inner(), 0);
        assert!(!provisioner.plan().await.unwrap().changes());
        let creations = ["services?serviceId=", "functions?functionId="];
        let calls = world.google.calls();
        let made = calls.iter().filter(|call| creations.iter().any(|path| call.contains(path)));
        assert_eq!(made.count(), 1, "it is begun once");
    }
}

#[tokio::test]
async fn an_operation_that_must_not_be_asked_for_is_an_error_at_once() {
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        world.google.next_operation(Course::Never);
        let plan = provisioner.plan().await.unwrap();
        let watch = Meddling { world: &world, status: 403, left: AtomicUsize::new(1) };
        let error = provisioner.apply(&plan, &watch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("asking how far it is"), "{error}");
        assert!(world.clock.now() < Duration::from_mins(1), "{:?}", world.clock.now());
    }
}

#[tokio::test]
async fn removals_that_fail_or_never_end_are_told_and_the_next_run_goes_on() {
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        set_up(&*provisioner).await;
        for (course, kind, words) in [
            (Course::Fails(7, "no permission to remove it"), ErrorKind::Denied, "no permission to remove it"),
            (Course::Fails(14, ""), ErrorKind::Unavailable, "Google does not say why"),
            (Course::Never, ErrorKind::Unavailable, "was not over after"),
        ] {
            world.google.next_operation(course);
            let removal = provisioner.destroy_plan().await.unwrap();
            let error = provisioner.destroy(&removal, &Unwatched).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let removal = provisioner.destroy_plan().await.unwrap();
        provisioner.destroy(&removal, &Unwatched).await.unwrap();
        assert!(world.google.things().is_empty(), "{:?}", world.google.things());
    }
}

#[tokio::test]
async fn what_does_not_pass_is_given_up() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let plan = provisioner.plan().await.unwrap();
    world.google.refuse_next(refusal(404, "NOT_FOUND", "there is none", &json!([])));
    for _ in 0..100 {
        world.google.refuse_next(refusal(503, "UNAVAILABLE", "not today", &json!([])));
    }
    let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("making the service account wren-workers: not today"), "{error}");
    let waited = world.clock.now();
    assert!(waited > Duration::from_mins(1) && waited <= Duration::from_mins(2), "{waited:?}");
}

#[tokio::test]
async fn an_answer_that_is_none_of_the_apis_is_told() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    world.google.refuse_next((500, json!("<html>a gateway's own words</html>")));
    let error = provisioner.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let told = error.to_string();
    assert!(told.contains("a gateway's own words") && told.contains("HTTP 500"), "{told}");
    // A service account that is none: a success all the same.
    world.google.refuse_next((200, json!([])));
    let error = provisioner.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.to_string().contains("iam.googleapis.com is not what it should be"), "{error}");
}

//! Runs that end in the middle, at every point at which they can: after each change at AWS, whether its answer arrived
//! or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustwren_core::provision::{Provisioner as _, Unwatched};
use rustwren_testkit::standins::{Front, Moto, Request, Verdict};

use crate::world::{BUCKET, World, set_up, tear_down, told};

/// Whether a request changes anything, and not only reads.
fn changes(request: &Request) -> bool {
    let body = String::from_utf8_lossy(&request.body);
    let reads = |name: &str| ["Get", "List", "Describe", "Filter"].iter().any(|verb| name.starts_with(verb));
    if let Some(target) = request.header("x-amz-target") {
        return !reads(target.rsplit('.').next().unwrap_or_default());
    }
    if let Some(action) = body.strip_prefix("Action=") {
        return !reads(action);
    }
    !matches!(request.method.as_str(), "GET" | "HEAD")
}

/// A refusal that no client tries again.
fn ended() -> Verdict {
    Verdict::Answer { status: 400, headers: Vec::new(), body: String::new() }
}

/// Lets so many changes pass and nothing after them, and counts them.
fn cut_after(moto: &Moto, most: usize) -> (Front, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let front = Front::before(moto.address(), move |request| {
        if changes(request) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        if counted.load(Ordering::SeqCst) > most { ended() } else { Verdict::Pass }
    });
    (front, seen)
}

#[tokio::test]
async fn a_setup_that_was_cut_after_any_change_is_completed_by_the_next() {
    let mut world = World::new();
    let direct = world.endpoint.clone();
    for changes in 0.. {
        let (front, seen) = cut_after(&world.moto, changes);
        world.endpoint = front.endpoint();
        let cut = world.provisioner(&[], &[("reserved", "3")]).await;
        let plan = cut.plan().await.unwrap();
        let done = cut.apply(&plan, &Unwatched).await;

        world.endpoint.clone_from(&direct);
        let whole = world.provisioner(&[], &[("reserved", "3")]).await;
        if done.is_ok() {
            assert_eq!(told(&cut.plan().await.unwrap()), [""; 0]);
        }
        set_up(&whole).await;
        // The last cut was behind the last change.
        if done.is_ok() {
            assert!(changes >= 10, "{changes} changes make it all");
            assert_eq!(seen.load(Ordering::SeqCst), changes);
            return;
        }
        assert_eq!(told(&whole.plan().await.unwrap()), [""; 0], "after {changes} changes");
        tear_down(&whole).await;
        assert!(told(&whole.plan().await.unwrap()).iter().all(|step| step.ends_with(": create")));
    }
}

#[tokio::test]
async fn a_teardown_that_was_cut_after_any_change_is_completed_by_the_next() {
    let mut world = World::new();
    let direct = world.endpoint.clone();
    for changes in 0.. {
        set_up(&world.provisioner(&[], &[]).await).await;
        let object = world.s3().await.put_object().bucket(BUCKET).key("rustwren/jobs/x").send();
        object.await.unwrap();
        let (front, _) = cut_after(&world.moto, changes);
        world.endpoint = front.endpoint();
        let cut = world.provisioner(&[], &[]).await;
        let plan = cut.destroy_plan().await.unwrap();
        let done = cut.destroy(&plan, &Unwatched).await;
        world.endpoint.clone_from(&direct);
        tear_down(&world.provisioner(&[], &[]).await).await;
        assert!(world.s3().await.list_buckets().send().await.unwrap().buckets().is_empty());
        if done.is_ok() {
            assert!(changes >= 5, "{changes} changes remove it all");
            return;
        }
    }
}

/// What was made all the same is found to be made when it is asked for again.
#[tokio::test]
async fn answers_that_are_lost_do_no_harm() {
    let mut world = World::new();
    let lost = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lost);
    let front = Front::before(world.moto.address(), move |request| {
        let body = String::from_utf8_lossy(&request.body);
        let target = request.header("x-amz-target").unwrap_or_default();
        let makes = [
            request.method == "PUT" && !request.path.contains('?'),
            body.starts_with("Action=CreateRole"),
            target.ends_with("CreateLogGroup"),
            request.method == "POST" && request.path.ends_with("/functions"),
        ];
        // Each once.
        match makes.iter().position(|makes| *makes) {
            Some(which) if counted.fetch_or(1 << which, Ordering::SeqCst) & (1 << which) == 0 => {
                Verdict::LoseAnswer
            }
            _ => Verdict::Pass,
        }
    });
    world.endpoint = front.endpoint();
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    assert_eq!(lost.load(Ordering::SeqCst), 0b1111);
    assert_eq!(told(&provisioner.plan().await.unwrap()), [""; 0]);
}

//! What passes by itself is waited for, on a clock on which that takes no time.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustwren_core::clock::Clock as _;
use rustwren_core::error::Result;
use rustwren_core::provision::{Provisioner as _, Watch};
use rustwren_testkit::standins::{Front, Request, Verdict};

use crate::world::{World, told};

/// Notes what is waited for.
#[derive(Default)]
struct Waits(Mutex<Vec<String>>);

impl Watch for Waits {
    fn started(&self, _step: usize) {}

    fn waiting(&self, _step: usize, why: &str) {
        self.0.lock().unwrap().push(why.to_owned());
    }

    fn done(&self, _step: usize) {}
}

fn lambda_error(code: &'static str, message: &str) -> Verdict {
    Verdict::Answer {
        status: if code == "ResourceConflictException" { 409 } else { 400 },
        headers: vec![("x-amzn-errortype", code.to_owned()), ("content-type", "application/json".to_owned())],
        body: format!("{{\"Type\":\"User\",\"message\":\"{message}\"}}"),
    }
}

fn makes_a_function(request: &Request) -> bool {
    request.method == "POST" && request.path.ends_with("/functions")
}

/// Sets up where the first `times` requests that `which` picks are answered so; with what was waited for and how long.
async fn set_up(
    times: usize,
    which: fn(&Request) -> bool,
    verdict: Verdict,
) -> (Result<()>, Vec<String>, Duration) {
    let mut world = World::new();
    let seen = AtomicUsize::new(0);
    let front = Front::before(world.moto.address(), move |request| {
        let answered = which(request) && seen.fetch_add(1, Ordering::SeqCst) < times;
        if answered { verdict.clone() } else { Verdict::Pass }
    });
    world.endpoint = front.endpoint();
    let provisioner = world.provisioner(&[], &[]).await;
    let plan = provisioner.plan().await.unwrap();
    let waits = Arc::new(Waits::default());
    let before = world.clock.now();
    let done = provisioner.apply(&plan, &*waits).await.map(drop);
    let waited = world.clock.now().saturating_sub(before);
    if done.is_ok() {
        assert_eq!(told(&provisioner.plan().await.unwrap()), [""; 0]);
    }
    let waits = waits.0.lock().unwrap().clone();
    (done, waits, waited)
}

fn unassumable() -> Verdict {
    lambda_error(
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda.",
    )
}

#[tokio::test]
async fn a_role_that_lambda_does_not_know_yet_is_waited_for() {
    let (done, waits, waited) = set_up(4, makes_a_function, unassumable()).await;
    done.unwrap();
    assert_eq!(waits[..4], ["Lambda does not know the new role yet"; 4]);
    assert_eq!(waited, Duration::from_secs(2 + 3 + 4 + 5));
}

#[tokio::test]
async fn waiting_has_an_end() {
    let (done, _, waited) = set_up(usize::MAX, makes_a_function, unassumable()).await;
    let error = done.unwrap_err();
    assert!(error.message().contains("cannot be assumed by Lambda"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("must trust lambda.amazonaws.com")), "{error}");
    assert!((Duration::from_secs(55)..=Duration::from_mins(1)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_change_that_is_under_way_is_waited_for() {
    let busy = lambda_error(
        "ResourceConflictException",
        "The operation cannot be performed at this time. An update is in progress for resource",
    );
    let calls = |request: &Request| request.path.ends_with("/event-invoke-config") && request.method == "PUT";
    let (done, waits, waited) = set_up(2, calls, busy).await;
    done.unwrap();
    assert_eq!(waits[waits.len() - 2..], ["Lambda is still busy with the function"; 2]);
    assert_eq!(waited, Duration::from_secs(5));
}

#[tokio::test]
async fn a_bucket_whose_name_is_not_free_yet_is_waited_for() {
    let busy = Verdict::s3_error(409, "OperationAborted", &[]);
    let makes = |request: &Request| request.method == "PUT" && !request.path.contains('?');
    let (done, waits, _) = set_up(1, makes, busy).await;
    done.unwrap();
    assert_eq!(waits[0], "S3 is still busy with the bucket");
}

#[tokio::test]
async fn a_bucket_whose_name_is_taken_is_not_waited_for() {
    let taken = Verdict::s3_error(409, "BucketAlreadyExists", &[]);
    let makes = |request: &Request| request.method == "PUT" && !request.path.contains('?');
    let (done, waits, _) = set_up(1, makes, taken).await;
    let error = done.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("another `bucket`")), "{error}");
    assert!(waits.is_empty());
}

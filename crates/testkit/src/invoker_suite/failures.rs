//! Failures are told from each other and blamed on the element that brought them about.

use std::time::Duration;

use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::invoker::{JobSpec, Stopped};

use super::{BAD, Outcome, Subject, assert_echoed, elements, invocation, variant};

/// The bad element's place among the others.
const PLACE: usize = 3;

fn with_a_bad_one() -> Vec<Vec<u8>> {
    let mut all = elements(8);
    all[PLACE] = BAD.to_vec();
    all
}

async fn failure(subject: &Subject, job: &JobSpec) -> TaskFailure {
    let all = with_a_bad_one();
    let (reply, mut outcomes) = subject.run(invocation(job, &all)).await;
    assert_eq!(reply.stopped, None, "{}: a failure that the function reports stops no worker", job.label);
    let outcome = outcomes.remove(PLACE);
    let mut others = all;
    others.remove(PLACE);
    assert_echoed(&outcomes, &others);
    match outcome {
        Some(Err(failure)) => failure,
        other => panic!("{}: the bad element: {other:?}", job.label),
    }
}

/// Errors and panics of the function are its element's result; the others are not touched by it.
pub async fn failures_are_results(subject: &Subject) {
    let failed = failure(subject, &subject.functions.fail).await;
    assert_eq!(failed.kind, FailureKind::Returned);
    assert!(failed.message.contains("failed as told"), "{failed:?}");
    let panicked = failure(subject, &subject.functions.panic).await;
    assert_eq!(panicked.kind, FailureKind::Panic);
    assert!(panicked.message.contains("panicked as told"), "{panicked:?}");
}

/// Runs a bad element that ends its invocation: its failure. What came before it is kept or handed back.
async fn blamed(subject: &Subject, job: &JobSpec) -> TaskFailure {
    let all = with_a_bad_one();
    let (reply, outcomes) = subject.run(invocation(job, &all)).await;
    // What was finished and not yet on its way when the worker died may be lost with it, and is done again.
    let before = outcomes[..PLACE].iter().zip(&all).filter(|(outcome, _)| outcome.is_some());
    let (kept, sent): (Vec<Outcome>, Vec<Vec<u8>>) = before.map(|(o, e)| (o.clone(), e.clone())).unzip();
    assert_echoed(&kept, &sent);
    assert_eq!(outcomes[PLACE], None, "{}: the bad element has no result", job.label);
    let rest: &[Outcome] = &outcomes[PLACE + 1..];
    assert!(rest.iter().all(|outcome| !matches!(outcome, Some(Err(_)))), "{rest:?}");
    let Some(Stopped { failed, suspects }) = reply.stopped else {
        panic!("{}: the worker did not stop", job.label)
    };
    // One that was alone in its process is known to have done it, whether it is said so or so.
    let blamed: Vec<_> = failed.into_iter().chain(suspects).collect();
    match &blamed[..] {
        [(place, failure)] if *place == PLACE as u32 => failure.clone(),
        other => panic!("{}: element {PLACE} is to blame, not {other:?}", job.label),
    }
}

/// An element that takes its process with it is blamed, what was finished is kept, and the worker serves again.
pub async fn deaths_are_blamed(subject: &Subject) {
    let failure = blamed(subject, &subject.functions.crash).await;
    let died = matches!(
        failure.kind,
        FailureKind::Signal(_)
            | FailureKind::Exit(_)
            | FailureKind::StackOverflow
            | FailureKind::OutOfMemory
            | FailureKind::Connection
    );
    assert!(died, "{failure:?}");
    subject.assert_echo(&subject.functions.echo, &elements(10)).await;
}

/// An element that runs longer than its job allows is blamed with the limit.
pub async fn time_outs_are_blamed(subject: &Subject) {
    const LIMIT: Duration = Duration::from_millis(300);
    let job = variant(&subject.functions.looping, "limited", |job| job.task_timeout = Some(LIMIT));
    let failure = blamed(subject, &job).await;
    assert_eq!(failure.kind, FailureKind::TimedOut(LIMIT));
    subject.assert_echo(&subject.functions.echo, &elements(10)).await;
}

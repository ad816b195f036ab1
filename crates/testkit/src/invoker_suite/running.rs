//! How many run, and how they are made to stop.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, Stream};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::Reply;

use super::{BAD, Recorder, Subject, elements, invocation, variant};

type Running = Pin<Box<dyn Future<Output = Result<Reply, BackendError>>>>;

/// More are not tried, wherever the limit lies.
const MOST: usize = 64;

/// Starts so many invocations that never end, and waits until all run.
async fn endless(subject: &Subject, count: usize) -> FuturesUnordered<Running> {
    let recorder = Recorder::new();
    let mut running: FuturesUnordered<Running> = (0..count)
        .map(|_| {
            let sent = invocation(&subject.functions.looping, &[BAD.to_vec()]);
            let (invoker, events) = (Arc::clone(&subject.invoker), recorder.events());
            Box::pin(async move { invoker.invoke(sent, &events).await }) as Running
        })
        .collect();
    poll_fn(|cx| {
        if let Poll::Ready(Some(end)) = Pin::new(&mut running).poll_next(cx) {
            panic!("an endless invocation ended: {end:?}");
        }
        recorder.poll_started(count, cx)
    })
    .await;
    running
}

fn concurrency(subject: &Subject) -> usize {
    subject.invoker.limits().concurrency.clamp(1, MOST)
}

/// As many invocations as the limits say run at the same time.
pub async fn runs_as_many_as_it_says(subject: &Subject) {
    let running = endless(subject, concurrency(subject)).await;
    assert_eq!(running.len(), concurrency(subject));
}

/// As many as may be under way are accepted at once, and all come back.
pub async fn all_that_may_wait_is_taken(subject: &Subject) {
    let limits = subject.invoker.limits();
    let count = limits.concurrency.saturating_mul(1 + limits.pipelining).min(8 * MOST);
    let wanted = elements(3);
    join_all((0..count).map(|_| subject.assert_echo(&subject.functions.echo, &wanted))).await;
}

/// A dropped invocation leaves its worker to others.
pub async fn dropping_cancels(subject: &Subject) {
    for _ in 0..3 {
        drop(endless(subject, concurrency(subject)).await);
    }
    // One that is dropped before it was ever polled, and one that was polled once.
    let job = variant(&subject.functions.looping, "dropped", |_| ());
    let events = Recorder::new().events();
    drop(subject.invoker.invoke(invocation(&job, &[BAD.to_vec()]), &events));
    let mut once = subject.invoker.invoke(invocation(&job, &[BAD.to_vec()]), &events);
    let first = poll_fn(|cx| Poll::Ready(once.as_mut().poll(cx))).await;
    assert!(first.is_pending(), "it loops: {first:?}");
    drop(once);
    let wanted = elements(3);
    let all = (0..concurrency(subject)).map(|_| subject.assert_echo(&subject.functions.echo, &wanted));
    join_all(all).await;
}

/// A detached invocation is taken, or said to be impossible.
pub async fn detached_works_or_is_invalid(subject: &Subject) {
    let sent = invocation(&subject.functions.echo, &elements(2));
    match subject.invoker.invoke_detached(sent).await {
        Ok(()) => {}
        Err(error) => assert_eq!(error.class(), ErrorClass::Invalid, "{error}"),
    }
}

/// Shutting down ends what is under way: nothing waits for ever.
pub async fn shutdown_cancels(subject: &Subject) {
    let mut running = endless(subject, 1).await;
    subject.invoker.shutdown().await;
    let end = poll_fn(|cx| Pin::new(&mut running).poll_next(cx)).await;
    match end.expect("there was one") {
        Err(error) => assert!(!matches!(error.class(), ErrorClass::Throttled { .. }), "{error}"),
        Ok(reply) => assert!(reply.results.is_empty(), "an endless element has a result: {reply:?}"),
    }
    // And once more is no harm.
    subject.invoker.shutdown().await;
}

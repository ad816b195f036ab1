//! Invocations that may last one second: lists longer than that just finish, and only a task that is longer fails.

use std::time::{Duration, Instant};

use rustwren::prelude::*;

crate::tests![
    a_list_longer_than_any_worker_may_live,
    the_same_in_async_code,
    a_result_does_not_wait_for_the_end,
    a_task_longer_than_a_life_fails_alone,
    an_async_task_longer_than_a_life_fails_alone,
    the_deadline_is_known,
];

const LIFE: Duration = Duration::from_secs(1);

fn nap(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

async fn a_list_longer_than_any_worker_may_live(executor: Executor) {
    assert_eq!(executor.limits().max_duration, Some(LIFE));
    let work = |x: u64| {
        nap(20);
        (x, task().attempt())
    };
    // As one chunk, which two workers would need two of their lives for.
    let job = executor.map(work, 0..200).chunk_size(200).spawn().await.unwrap();
    let handle = job.handle();
    let outputs = job.results().await.unwrap();
    assert!(
        outputs.iter().zip(0..).all(|(&output, x)| output == (x, 1)),
        "no attempt is charged: {outputs:?}"
    );
    let stats = handle.stats();
    assert!(stats.handed_back > 0 && stats.invocations > 1 && stats.failures == 0, "{stats:?}");
}

async fn the_same_in_async_code(executor: Executor) {
    let work = |x: u64| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (x, task().attempt())
    };
    let job = executor.map_async(work, 0..200).concurrency(8).chunk_size(200).spawn().await.unwrap();
    let handle = job.handle();
    let outputs = job.results().await.unwrap();
    assert!(
        outputs.iter().zip(0..).all(|(&output, x)| output == (x, 1)),
        "no attempt is charged: {outputs:?}"
    );
    assert!(handle.stats().handed_back > 0, "{:?}", handle.stats());
}

/// The second task waits until the first's result is known here, which is long before the invocation ends.
async fn a_result_does_not_wait_for_the_end(executor: Executor) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known");
    let work = |(x, path): (u64, std::path::PathBuf)| {
        while x == 1 && !path.exists() {
            nap(1);
        }
        x
    };
    let inputs = (0..2).map(|x| (x, path.clone())).collect::<Vec<_>>();
    let mut job = executor.map(work, inputs).chunk_size(2).workers(1).spawn().await.unwrap();
    assert_eq!(job.next().await.unwrap().unwrap(), (0, 0));
    std::fs::write(&path, "").unwrap();
    assert_eq!(job.next().await.unwrap().unwrap(), (1, 1));
}

/// Thirty tasks of which the 13th does not end.
fn check_alone(outcomes: Vec<Result<u64, TaskError>>) {
    assert_eq!(outcomes.len(), 30);
    for (i, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(x) => assert_eq!(x, i as u64),
            Err(error) => {
                assert_eq!((i, error.attempts.len()), (13, 1), "{error}");
                let failure = error.last().unwrap();
                assert_eq!(failure.kind, FailureKind::TimedOut(LIFE), "{error}");
                let text = error.to_string();
                let told =
                    "ran longer than its limit of 1s: by itself it takes longer than an invocation may last";
                assert!(text.contains(told) && text.contains("`max_duration`"), "{text}");
                continue;
            }
        }
        assert_ne!(i, 13);
    }
}

async fn a_task_longer_than_a_life_fails_alone(executor: Executor) {
    let work = |x: u64| {
        if x == 13 {
            loop {
                nap(1000);
            }
        }
        x
    };
    check_alone(executor.map(work, 0..30).chunk_size(30).outcomes().await.unwrap());
    // Beside others in its process.
    check_alone(executor.map(work, 0..30).concurrency(4).chunk_size(30).outcomes().await.unwrap());
}

async fn an_async_task_longer_than_a_life_fails_alone(executor: Executor) {
    let work = |x: u64| async move {
        if x == 13 {
            std::future::pending::<()>().await;
        }
        x
    };
    check_alone(executor.map_async(work, 0..30).concurrency(4).chunk_size(30).outcomes().await.unwrap());
}

async fn the_deadline_is_known(executor: Executor) {
    let left = |_: u8| task().deadline().map(|at| at.saturating_duration_since(Instant::now()));
    let left = executor.map(left, 0..10).await.unwrap();
    assert!(left.iter().all(|left| left.is_some_and(|left| left <= LIFE)), "{left:?}");
}

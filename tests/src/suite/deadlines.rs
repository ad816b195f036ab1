//! Invocations that may last a second or some: lists longer than that just finish, and only a task that is longer fails.

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

/// How long an invocation may last here.
fn life(executor: &Executor) -> Duration {
    executor.limits().max_duration.unwrap()
}

fn nap(time: Duration) {
    std::thread::sleep(time);
}

async fn a_list_longer_than_any_worker_may_live(executor: Executor) {
    let work = |time: &Duration, x: u64| {
        nap(*time);
        (x, task().attempt())
    };
    // As one chunk, which two workers would need a whole life each for, and some time more.
    let job = executor.map_with(&(life(&executor) / 50), work, 0..120).chunk_size(120).spawn().await.unwrap();
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
    let work = |(time, x): (Duration, u64)| async move {
        tokio::time::sleep(time).await;
        (x, task().attempt())
    };
    let time = life(&executor) / 10;
    let inputs = (0..120).map(move |x| (time, x));
    let job = executor.map_async(work, inputs).concurrency(8).chunk_size(120).spawn().await.unwrap();
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
            nap(Duration::from_millis(1));
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
fn check_alone(outcomes: Vec<Result<u64, TaskError>>, life: Duration) {
    assert_eq!(outcomes.len(), 30);
    for (i, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(x) => assert_eq!(x, i as u64),
            Err(error) => {
                assert_eq!((i, error.attempts.len()), (13, 1), "{error}");
                let failure = error.last().unwrap();
                // Some of it may be kept for passing on what is done.
                let FailureKind::TimedOut(limit) = failure.kind else { panic!("{error}") };
                assert!(limit <= life && !limit.is_zero(), "{error}");
                let text = error.to_string();
                let told = "by itself it takes longer than an invocation may last";
                assert!(text.contains("ran longer than its limit of ") && text.contains(told), "{text}");
                assert!(text.contains("`max_duration`") || text.contains("`timeout`"), "{text}");
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
                nap(Duration::from_secs(1));
            }
        }
        x
    };
    let life = life(&executor);
    check_alone(executor.map(work, 0..30).chunk_size(30).outcomes().await.unwrap(), life);
    // Beside others in its process.
    check_alone(executor.map(work, 0..30).concurrency(4).chunk_size(30).outcomes().await.unwrap(), life);
}

async fn an_async_task_longer_than_a_life_fails_alone(executor: Executor) {
    let work = |x: u64| async move {
        if x == 13 {
            std::future::pending::<()>().await;
        }
        x
    };
    let outcomes = executor.map_async(work, 0..30).concurrency(4).chunk_size(30).outcomes().await.unwrap();
    check_alone(outcomes, life(&executor));
}

async fn the_deadline_is_known(executor: Executor) {
    let life = life(&executor);
    let left = |_: u8| task().deadline().map(|at| at.saturating_duration_since(Instant::now()));
    let left = executor.map(left, 0..10).await.unwrap();
    assert!(left.iter().all(|left| left.is_some_and(|left| left <= life)), "{left:?}");
}

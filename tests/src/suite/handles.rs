//! Jobs, streams, futures, waiting.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustwren::prelude::*;
use rustwren::{ErrorKind, Progress};

use super::unless_dear;

crate::tests![
    a_stream_gives_each_result_once,
    a_slow_reader_loses_nothing,
    ordered_results,
    results_after_some_were_taken,
    futures_of_all_inputs,
    futures_of_unknown_length,
    futures_fail_one_by_one,
    a_future_that_is_cancelled_before_it_runs,
    a_future_that_is_cancelled_while_it_runs,
    waiting_for_some,
    waiting_for_all_without_reading,
    progress_and_numbers,
    dropping_a_job_cancels_it,
    cancelling_a_job,
    collected_errors,
    the_stream_of_a_job_that_collects_errors,
];

/// A file that tasks can wait for: a fresh path in a folder that both sides see.
struct Signal {
    folder: tempfile::TempDir,
}

impl Signal {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    fn path(&self) -> PathBuf {
        self.folder.path().join("go")
    }
    fn give(&self) {
        std::fs::write(self.path(), "").unwrap();
    }
}

/// Waits in a task until the file is there.
fn until(path: &Path) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn a_stream_gives_each_result_once(executor: Executor) {
    let mut job = executor.map(|x: u64| x + 1, 0..10_000).spawn().await.unwrap();
    let mut seen = BTreeSet::new();
    while let Some(result) = job.next().await {
        let (index, output) = result.unwrap();
        assert_eq!(output, index + 1);
        assert!(seen.insert(index));
    }
    assert_eq!(seen.len(), 10_000);
    assert!(job.next().await.is_none(), "the end stays the end");
}

async fn a_slow_reader_loses_nothing(executor: Executor) {
    // 200 MB of results through a buffer of 32 MiB. As text: bytes take their time in a debug build.
    let count = unless_dear(&executor, 200, 50);
    let mut job = executor.map(|x: u64| (x, "x".repeat(1_000_000)), 0..count).spawn().await.unwrap();
    let mut sum = 0;
    while let Some(result) = job.next().await {
        sum += result.unwrap().1.0;
    }
    assert_eq!(sum, (0..count).sum::<u64>());
}

async fn ordered_results(executor: Executor) {
    let count = unless_dear(&executor, 20_000, 2_000);
    let mut ordered = executor.map(|x: u64| x, 0..count).chunk_size(10).spawn().await.unwrap().ordered();
    let mut expected = 0;
    while let Some(result) = ordered.next().await {
        assert_eq!(result.unwrap(), expected);
        expected += 1;
    }
    assert_eq!(expected, count);
    assert_eq!(ordered.job().progress().done, count);
}

async fn results_after_some_were_taken(executor: Executor) {
    let mut job = executor.map(|x: u64| x, 0..1000).spawn().await.unwrap();
    let mut all: Vec<u64> = Vec::new();
    for _ in 0..10 {
        all.push(job.next().await.unwrap().unwrap().1);
    }
    let rest = job.results().await.unwrap();
    assert_eq!(rest.len(), 990);
    assert!(rest.is_sorted());
    all.extend(rest);
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
}

async fn futures_of_all_inputs(executor: Executor) {
    let mut job = executor.map(|x: u64| x * x, 0..100).spawn().await.unwrap();
    let futures = job.futures().await.unwrap();
    assert_eq!(futures.len(), 100);
    for (i, future) in futures.into_iter().enumerate() {
        assert_eq!(future.index(), i as u64);
        assert_eq!(future.await.unwrap(), (i * i) as u64);
    }
}

async fn futures_of_unknown_length(executor: Executor) {
    let inputs = (0..1000_u64).filter(|x| x % 3 == 0);
    let mut job = executor.map(|x: u64| x, inputs).spawn().await.unwrap();
    let futures = job.futures().await.unwrap();
    assert_eq!(futures.len(), 334);
    for (i, future) in futures.into_iter().enumerate() {
        assert_eq!(future.result().await.unwrap(), 3 * i as u64);
    }
}

async fn futures_fail_one_by_one(executor: Executor) {
    let mut job =
        executor.try_map(|x: u64| if x == 3 { Err("three") } else { Ok(x) }, 0..6).spawn().await.unwrap();
    let futures = job.futures().await.unwrap();
    for (i, mut future) in futures.into_iter().enumerate() {
        let result = (&mut future).await;
        assert!(future.is_done());
        if i == 3 {
            assert_eq!(future.state(), TaskState::Failed);
            let error = result.unwrap_err();
            assert!(error.kind() == ErrorKind::Task && error.to_string().contains("three"), "{error}");
        } else {
            assert_eq!(future.state(), TaskState::Done);
            assert_eq!(result.unwrap(), i as u64);
            assert!(future.await.is_err(), "an output is taken once");
        }
    }
}

async fn a_future_that_is_cancelled_before_it_runs(executor: Executor) {
    let go = Signal::new();
    let inputs: Vec<(u64, PathBuf)> = (0..8).map(|i| (i, go.path())).collect();
    let work = |(i, path): (u64, PathBuf)| {
        until(&path);
        i
    };
    let mut job = executor.map(work, inputs).chunk_size(1).workers(1).spawn().await.unwrap();
    let futures = job.futures().await.unwrap();
    futures[7].cancel();
    let mut futures = futures.into_iter();
    let mut last = futures.next_back().unwrap();
    let error = (&mut last).await.unwrap_err();
    assert_eq!(last.state(), TaskState::Cancelled);
    assert_eq!(error.tasks()[0].kind(), Some(&FailureKind::Cancelled));
    go.give();
    for (i, future) in futures.enumerate() {
        assert_eq!(future.await.unwrap(), i as u64, "the others go on");
    }
}

async fn a_future_that_is_cancelled_while_it_runs(executor: Executor) {
    let running = Signal::new();
    let inputs = vec![Some(running.path()), None, None];
    let work = |path: Option<PathBuf>| {
        if let Some(path) = path {
            std::fs::write(path, "").unwrap();
            loop {
                std::thread::park();
            }
        }
        1_u8
    };
    let mut job = executor.map(work, inputs).chunk_size(1).spawn().await.unwrap();
    let futures = job.futures().await.unwrap();
    until(&running.path());
    futures[0].cancel();
    let mut outcomes = Vec::new();
    for future in futures {
        outcomes.push(future.await.is_ok());
    }
    assert_eq!(outcomes, [false, true, true]);
    // Both workers are free again: two tasks that wait for each other can run.
    let meet = Signal::new();
    let sides: Vec<(PathBuf, PathBuf)> = vec![
        (meet.folder.path().join("a"), meet.folder.path().join("b")),
        (meet.folder.path().join("b"), meet.folder.path().join("a")),
    ];
    let both = executor
        .map(
            |(mine, other): (PathBuf, PathBuf)| {
                std::fs::write(mine, "").unwrap();
                until(&other);
            },
            sides,
        )
        .chunk_size(1)
        .await
        .unwrap();
    assert_eq!(both.len(), 2);
}

async fn waiting_for_some(executor: Executor) {
    let go = Signal::new();
    let inputs: Vec<Option<PathBuf>> = (0..10).map(|i| if i == 9 { Some(go.path()) } else { None }).collect();
    let work = |path: Option<PathBuf>| path.as_deref().map(until).is_some();
    let mut job = executor.map(work, inputs).chunk_size(1).spawn().await.unwrap();
    assert!(job.wait(Wait::Any).await.finished() >= 1);
    assert_eq!(job.wait(Wait::Count(9)).await.finished(), 9);
    assert_eq!(job.wait(Wait::Always).await.finished(), 9);
    go.give();
    assert_eq!(job.wait(Wait::All).await.finished(), 10);
    assert_eq!(job.wait(Wait::Count(99)).await.finished(), 10, "no more than there are");
    assert_eq!(job.results().await.unwrap().len(), 10);
}

async fn waiting_for_all_without_reading(executor: Executor) {
    // More than the result buffer holds.
    let mut job = executor.map(|_: u64| "1".repeat(1_000_000), 0..60).spawn().await.unwrap();
    assert_eq!(job.wait(Wait::All).await.done, 60);
    assert_eq!(job.results().await.unwrap().len(), 60);
}

async fn progress_and_numbers(executor: Executor) {
    let mut job = executor.map(|x: u64| x, 0..1000).chunk_size(10).label("count").spawn().await.unwrap();
    assert_eq!(job.label(), "count");
    let progress = job.wait(Wait::All).await;
    assert_eq!(progress, Progress { total: Some(1000), done: 1000, ..Progress::default() });
    let stats = job.stats();
    assert!(stats.invocations >= 100 && stats.largest_chunk == 10, "{stats:?}");
    assert!(stats.input_bytes >= 1000 && stats.output_bytes >= 1000, "{stats:?}");
    assert!(stats.cold_starts <= 2, "{stats:?}");
    assert_eq!((stats.failures, stats.retries, stats.duplicates), (0, 0, 0));
}

async fn dropping_a_job_cancels_it(executor: Executor) {
    let running = Signal::new();
    let work = |path: PathBuf| {
        std::fs::write(path, "").unwrap();
        loop {
            std::thread::park();
        }
        #[expect(unreachable_code, reason = "the type of an endless task")]
        0_u8
    };
    let paths: Vec<PathBuf> = (0..2).map(|i| running.folder.path().join(i.to_string())).collect();
    let job = executor.map(work, paths.clone()).chunk_size(1).spawn().await.unwrap();
    for path in &paths {
        until(path);
    }
    drop(job);
    assert_eq!(executor.map(|x: u8| x, 0..10).await.unwrap().len(), 10, "the workers are free again");
}

async fn cancelling_a_job(executor: Executor) {
    let job = executor
        .map(
            |_: u64| loop {
                std::thread::park();
            },
            0..4,
        )
        .spawn()
        .await
        .unwrap();
    job.cancel();
    let result: Result<Vec<()>, _> = job.results().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
}

async fn collected_errors(executor: Executor) {
    let work = |x: u64| if x % 10 == 7 { Err(format!("bad {x}")) } else { Ok(x) };
    let outcomes = executor.try_map(work, 0..100).outcomes().await.unwrap();
    for (i, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!(*value, i as u64),
            Err(error) => {
                assert_eq!((error.index, i % 10), (i as u64, 7));
                assert_eq!(error.last().unwrap().message, format!("bad {i}"));
            }
        }
    }
    let error = executor.try_map(work, 0..100).on_error(OnError::Collect).await.unwrap_err();
    assert_eq!(error.tasks().len(), 10);
    assert!(error.to_string().contains("10 of 100"), "{error}");
}

async fn the_stream_of_a_job_that_collects_errors(executor: Executor) {
    let work = |x: u64| if x == 5 { Err("five") } else { Ok(x) };
    let mut job = executor.try_map(work, 0..10).on_error(OnError::Collect).spawn().await.unwrap();
    let (mut good, mut bad) = (0, 0);
    while let Some(result) = job.next().await {
        match result {
            Ok(_) => good += 1,
            Err(error) => {
                assert_eq!(error.tasks()[0].index, 5);
                bad += 1;
            }
        }
    }
    assert_eq!((good, bad), (9, 1));
}

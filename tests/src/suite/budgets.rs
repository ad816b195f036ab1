//! Jobs that may cost so much and no more.

use std::time::Duration;

use rustwren::prelude::*;
use rustwren::{Budget, Error, ErrorKind, JobStats};

crate::tests![
    so_many_invocations,
    enough_is_enough,
    time_of_workers_with_the_worst_case,
    what_cannot_be_kept_to_is_refused,
    a_durable_job_goes_on_under_a_larger_budget,
    the_reduction_has_what_the_map_leaves,
];

const LIMIT: Duration = Duration::from_secs(2);

/// Invocations that were not refused.
fn taken(stats: &JobStats) -> u64 {
    stats.invocations - stats.throttled
}

/// Takes what comes until the job's end, which is an error of its budget.
async fn until_spent(mut job: Job<u64>) -> (Vec<u64>, Error, JobStats) {
    let handle = job.handle();
    let mut outputs = Vec::new();
    loop {
        match job.next().await.expect("the job ends with an error") {
            Ok((_, output)) => outputs.push(output),
            Err(error) if error.kind() == ErrorKind::Budget => return (outputs, error, handle.stats()),
            Err(error) => panic!("not an error of the budget: {error}"),
        }
    }
}

async fn so_many_invocations(executor: Executor) {
    let job = executor.map(|x: u64| x, 0..100).chunk_size(1).max_invocations(10).spawn().await.unwrap();
    let (outputs, error, stats) = until_spent(job).await;
    assert!(!outputs.is_empty() && outputs.len() <= 10, "{outputs:?}");
    assert_eq!(taken(&stats), 10, "{stats:?}");
    let text = error.to_string();
    assert!(text.contains("10 of 10 invocations are used up") && text.contains("max_invocations"), "{text}");
}

async fn enough_is_enough(executor: Executor) {
    let job = executor.map(|x: u64| x * 2, 0..1000).max_invocations(100_000).spawn().await.unwrap();
    assert_eq!(job.results().await.unwrap(), (0..1000).map(|x| x * 2).collect::<Vec<_>>());
}

/// There is room for one worst case and a little more: only one invocation is under way at a time, and after that little
/// is used up, none.
async fn time_of_workers_with_the_worst_case(executor: Executor) {
    let room = LIMIT + executor.limits().startup + Duration::from_millis(300);
    let nap = |x: u64| {
        std::thread::sleep(Duration::from_millis(20));
        x
    };
    let job = executor.map(nap, 0..1000).timeout(LIMIT).max_worker_time(room).spawn().await.unwrap();
    let (outputs, error, stats) = until_spent(job).await;
    assert!(outputs.len() < 1000 && stats.worker_time <= room, "{} {stats:?}", outputs.len());
    // Where a worker may go on unseen, the first that is lost may take up all there is.
    if executor.limits().stops_when_dropped {
        assert!(!outputs.is_empty() && stats.worker_time >= Duration::from_millis(20), "{stats:?}");
    }
    assert!(error.to_string().contains("max_worker_time"), "{error}");
}

async fn what_cannot_be_kept_to_is_refused(executor: Executor) {
    let refused = |result: rustwren::Result<Job<u64>>, hint: &str| {
        let Err(error) = result else { panic!("{hint}: it is to be refused") };
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{error}");
    };
    let limits = executor.limits();
    let hour = Duration::from_hours(1);
    if limits.max_duration.is_none() {
        refused(executor.map(|x: u64| x, 0..9).max_worker_time(hour).spawn().await, ".timeout(..)");
    }
    if limits.price.is_none() {
        let job = executor.map(|x: u64| x, 0..9).timeout(LIMIT).budget_usd(100.0);
        refused(job.spawn().await, "price_per_second");
    }
    let job = executor.map(|x: u64| x, 0..9).timeout(LIMIT).max_worker_time(hour).spawn().await.unwrap();
    assert_eq!(job.results().await.unwrap().len(), 9);
}

async fn a_durable_job_goes_on_under_a_larger_budget(executor: Executor) {
    let job = executor.map(|x: u64| x, 0..50).chunk_size(1).max_invocations(10).durable();
    let job = job.spawn().await.unwrap();
    let id = job.id().to_owned();
    let (outputs, error, _) = until_spent(job).await;
    assert!(error.to_string().contains("rustwren jobs attach"), "{error}");
    // Nothing is begun anew before the budget is raised.
    let again = executor.attach::<u64>(&id).await.unwrap();
    let (same, _, stats) = until_spent(again).await;
    assert_eq!((same.len(), taken(&stats)), (outputs.len(), 10), "{stats:?}");
    let budget = Budget { invocations: Some(100_000), ..Budget::default() };
    executor.set_budget(&id, budget).await.unwrap();
    let job = executor.attach::<u64>(&id).await.unwrap();
    let handle = job.handle();
    assert_eq!(job.results().await.unwrap(), (0..50).collect::<Vec<_>>());
    let stats = handle.stats();
    assert!(taken(&stats) >= 50, "what was used up before counts: {stats:?}");
}

async fn the_reduction_has_what_the_map_leaves(executor: Executor) {
    let sum = |outputs: Vec<u64>| outputs.into_iter().sum::<u64>();
    let all = executor.map_reduce(|x: u64| x, sum, 0..10).max_invocations(100_000).await.unwrap();
    assert_eq!(all, 45);
    let error = executor.map_reduce(|x: u64| x, sum, 0..1).max_invocations(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
}

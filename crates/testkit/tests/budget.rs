//! What jobs cost, and that they stop at what they may, under a simulated provider.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use rustwren_core::error::ErrorKind;
use rustwren_core::price::{Price, Usd};
use rustwren_core::scheduler::Backups;
use rustwren_testkit::sim::{self, JobPlan, Provider, Report, Scenario, Times};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A dollar for a second of a worker and a cent for a call, by tenths of a second.
fn price() -> Price {
    Price { per_request: 0.01, granularity: 100 * MS, ..Price::of_time(Usd::saturating(1.0)) }
}

fn provider(workers: usize) -> Provider {
    Provider { price: Some(price()), max_duration: Some(10 * S), ..Provider::flawless(workers) }
}

fn job(size: u64) -> JobPlan {
    let mut job = JobPlan::plain(size);
    job.options.chunk_size = Some(1);
    job
}

fn run(provider: Provider, job: JobPlan) -> Report {
    let scenario = Scenario { seed: 1, provider, jobs: vec![job] };
    let mut reports = sim::run_scenario(&scenario, true).unwrap_or_else(|failure| panic!("{failure}"));
    reports.remove(0)
}

fn is_spent(report: &Report) -> bool {
    report.end.as_ref().is_err_and(|error| error.kind() == ErrorKind::Budget)
}

#[test]
fn every_invocation_has_its_price() {
    let report = run(provider(4), job(50));
    assert!(report.end.is_ok(), "{report:?}");
    // Fifty calls of 10 ms each, rounded up to 100 ms.
    assert_eq!(report.stats.worker_time, 500 * MS);
    assert_eq!(report.stats.cost, Usd::saturating(50.0 * 0.11));
    assert_eq!((report.stats.wasted, report.stats.wasted_cost), (Duration::ZERO, Usd::ZERO));
}

#[test]
fn lost_workers_and_backups_cost_as_well() {
    let mut lossy = provider(4);
    (lossy.lost, lossy.times) = (0.3, Times::Constant(S));
    let mut plan = job(50);
    plan.options.retry.retries = Some(100);
    let report = run(lossy, plan);
    let stats = report.stats;
    assert!(
        stats.transient > 0 && stats.wasted > Duration::ZERO && stats.wasted_cost > Usd::ZERO,
        "{stats:?}"
    );
    assert!(stats.worker_time >= 50 * S && stats.cost > Usd::saturating(50.0), "{stats:?}");

    let mut tailed = provider(10);
    tailed.times = Times::Pareto { least: 100 * MS, alpha: 1.1, most: Times::HOUR };
    let mut plan = job(100);
    plan.options.backups = Backups::ON;
    let stats = run(tailed, plan).stats;
    assert!(stats.backups > 0 && stats.wasted > Duration::ZERO, "{stats:?}");
    assert!(stats.wasted < stats.worker_time && stats.wasted_cost < stats.cost, "{stats:?}");
}

#[test]
fn invocations_that_were_refused_are_free() {
    let mut strict = provider(4);
    strict.throttle = 0.5;
    let mut plan = job(30);
    plan.options.budget.invocations = Some(30);
    let report = run(strict.clone(), plan.clone());
    assert!(report.end.is_ok() && report.stats.throttled > 0, "{report:?}");
    assert_eq!(report.stats.cost, Usd::saturating(30.0 * 0.11));
    plan.options.budget.invocations = Some(29);
    let report = run(strict, plan);
    assert!(is_spent(&report) && report.progress.done == 29, "{report:?}");
}

#[test]
fn the_worst_case_of_what_is_under_way_counts() {
    // Three of ten seconds would be too much, at 10.01 dollars each.
    let mut plan = job(100);
    plan.options.budget.cost = Some(Usd::saturating(30.0));
    let mut provider = provider(50);
    provider.times = Times::Constant(S);
    let report = run(provider, plan);
    assert!(is_spent(&report), "{report:?}");
    assert_eq!(report.most_running, 2);
    // It stops when less than one worst case is left.
    let left = Usd::saturating(30.0) - report.stats.cost;
    assert!(left < Usd::saturating(10.01), "{report:?}");
    assert!(report.progress.done >= 19, "{report:?}");
    let text = report.end.map_or_else(|error| error.to_string(), |()| String::new());
    assert!(text.contains("of $30.00 are spent, and another invocation may cost $10.01"), "{text}");
}

#[test]
fn what_may_run_on_unseen_is_held() {
    // Each silent worker may run for as long as it may live, which takes the budget's time.
    let mut silent = provider(1);
    (silent.vanish, silent.heartbeat) = (1.0, Some(S));
    let mut plan = job(5);
    plan.options.budget.worker_time = Some(35 * S);
    plan.options.patience = 100;
    let report = run(silent, plan);
    assert!(is_spent(&report), "{report:?}");
    assert!(report.stats.worker_time <= 35 * S && report.stats.lost > 0, "{report:?}");
}

#[test]
fn a_job_that_fits_finishes() {
    // A hundred seconds, and room for the last invocation's worst case.
    let mut plan = JobPlan::plain(10_000);
    plan.options.budget.worker_time = Some(110 * S);
    let report = run(provider(4), plan);
    assert!(report.end.is_ok(), "{report:?}");
    assert_eq!(report.stats.worker_time, 100 * S, "{report:?}");
}

#[test]
fn no_budget_at_all_begins_nothing() {
    let mut plan = job(10);
    plan.options.budget.cost = Some(Usd::ZERO);
    let report = run(provider(4), plan);
    assert!(is_spent(&report) && report.stats.invocations == 0, "{report:?}");
    // There is nothing to be paid for.
    let mut empty = job(0);
    empty.options.budget.cost = Some(Usd::ZERO);
    assert!(run(provider(4), empty).end.is_ok());
}

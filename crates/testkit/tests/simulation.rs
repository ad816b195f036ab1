//! Whole jobs through the scheduler, under a simulated provider.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::ops::Range;
use std::time::Duration;

use rustwren_core::scheduler::{Backups, OnError};
use rustwren_testkit::sim::{self, Consumer, JobPlan, Poison, Provider, Report, Scenario, Times};

/// How many seeds run here: `rustwren-testkit simulate` runs more.
const SEEDS: u64 = 2000;
/// In so many tests, which can run at once.
const PARTS: u64 = 4;

/// The seeds of one part: one in all, if `RUSTWREN_SIM_SEED` names it, to look into a failure.
fn seeds(part: u64) -> Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "read by this test alone, no part of the product")]
    match std::env::var_os("RUSTWREN_SIM_SEED") {
        None => part * SEEDS / PARTS..(part + 1) * SEEDS / PARTS,
        Some(_) if part > 0 => 0..0,
        Some(seed) => {
            let seed =
                seed.to_str().and_then(|seed| seed.parse().ok()).expect("RUSTWREN_SIM_SEED is a number");
            seed..seed + 1
        }
    }
}

fn run_all(seeds: Range<u64>) {
    for seed in seeds {
        if let Err(failure) = sim::run(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn many_seeds() {
    run_all(seeds(0));
}

#[test]
fn many_seeds_more() {
    run_all(seeds(1));
}

#[test]
fn many_seeds_and_more() {
    run_all(seeds(2));
}

#[test]
fn many_seeds_and_the_last() {
    run_all(seeds(PARTS - 1));
}

fn ends(provider: Provider, jobs: Vec<JobPlan>) -> Vec<Report> {
    let scenario = Scenario { seed: 1, provider, jobs };
    sim::run_scenario(&scenario, true).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn one_element_that_takes_its_worker_along_is_soon_alone() {
    let mut provider = Provider::flawless(4);
    provider.times = Times::Constant(Duration::from_micros(10));
    // Passing trouble on the way does not count together with it.
    provider.transient = 0.3;
    let mut job = JobPlan::plain(4096);
    job.options.chunk_size = Some(4096);
    job.options.on_error = OnError::Collect;
    job.poison.insert(1234, Poison::Vanishes(u32::MAX));
    let report = &ends(provider, vec![job])[0];
    assert!(report.end.is_ok(), "{report:?}");
    assert_eq!((report.progress.done, report.progress.failed), (4095, 1));
    // Twelve halvings and four attempts; passing trouble takes its time beside them.
    assert!(report.at < Duration::from_secs(20) && report.stats.invocations < 60, "{report:?}");
}

#[test]
fn a_job_that_comes_later_gets_its_share() {
    let mut provider = Provider::flawless(10);
    provider.times = Times::Constant(Duration::from_secs(1));
    let jobs = (0..2).map(|number| {
        let mut job = JobPlan::plain(if number == 0 { 1000 } else { 100 });
        job.options.chunk_size = Some(1);
        job.begins = Duration::from_secs(10 * number);
        job
    });
    let reports = ends(provider, jobs.collect());
    // Five at once from the second job's beginning on, and all ten for the first once it is alone again.
    assert!((5..=6).contains(&reports[1].most_running), "{reports:?}");
    assert!(reports[1].at < Duration::from_secs(33), "{reports:?}");
    assert!(reports[0].at < Duration::from_secs(113), "{reports:?}");
}

#[test]
fn of_more_jobs_than_slots_none_starves() {
    let mut provider = Provider::flawless(3);
    provider.times = Times::Constant(Duration::from_secs(1));
    let plan = || {
        let mut job = JobPlan::plain(30);
        job.options.chunk_size = Some(1);
        job
    };
    let reports = ends(provider, (0..8).map(|_| plan()).collect());
    // 80 rounds for all; who is served evenly is through with all others.
    assert!(reports.iter().all(|report| report.at > Duration::from_secs(65)), "{reports:?}");
    assert!(reports.iter().all(|report| report.at < Duration::from_secs(82)), "{reports:?}");
}

#[test]
fn a_job_whose_results_nobody_takes_leaves_its_slots_to_others() {
    let mut provider = Provider::flawless(4);
    provider.times = Times::Constant(Duration::from_secs(1));
    let mut slow = JobPlan::plain(1000);
    slow.options.chunk_size = Some(1);
    slow.options.result_buffer = 100;
    slow.consumer = Consumer::Stream(Duration::from_secs(100));
    let mut quick = JobPlan::plain(400);
    quick.options.chunk_size = Some(1);
    let reports = ends(provider, vec![slow, quick]);
    assert!(reports[1].at < Duration::from_secs(115), "{:?}", reports[1]);
}

#[test]
fn the_pace_finds_what_the_provider_takes() {
    let mut provider = Provider::flawless(1000);
    provider.times = Times::Constant(Duration::from_secs(1));
    provider.capacity = 100;
    let mut job = JobPlan::plain(20_000);
    job.options.chunk_size = Some(1);
    // 200 s at best; about one in a second is refused, and 900 at the beginning.
    for (named, most) in [(None, 1300), (Some(0), 1300), (Some(5), 1100)] {
        provider.retry_after = named.map(Duration::from_secs);
        let report = &ends(provider.clone(), vec![job.clone()])[0];
        assert!(report.at < Duration::from_secs(215), "{named:?}: {report:?}");
        assert!(report.stats.throttled < most, "{named:?}: {report:?}");
        assert_eq!(report.stats.failures, 0);
    }
}

#[test]
fn jobs_share_what_the_provider_takes() {
    let mut provider = Provider::flawless(1000);
    provider.times = Times::Constant(Duration::from_secs(1));
    provider.capacity = 100;
    let jobs = (0..2).map(|number| {
        let mut job = JobPlan::plain(5_000);
        job.options.chunk_size = Some(1);
        job.begins = Duration::from_secs(10 * number);
        job
    });
    let reports = ends(provider, jobs.collect());
    // The first has all for ten seconds and half for eighty; the second has half, and all for the last ten.
    for (report, at) in reports.iter().zip([90, 100]) {
        let at = Duration::from_secs(at);
        assert!(report.at > at.mul_f64(0.93) && report.at < at.mul_f64(1.08), "{reports:?}");
    }
}

#[test]
fn a_burst_of_refusals_costs_no_attempts() {
    let mut provider = Provider::flawless(1000);
    provider.throttle = 0.5;
    let mut job = JobPlan::plain(3000);
    job.options.retry.retries = Some(0);
    job.options.chunk_size = Some(1);
    let report = &ends(provider, vec![job])[0];
    assert!(report.end.is_ok() && report.stats.throttled > 1000, "{report:?}");
    assert_eq!((report.stats.failures, report.progress.done), (0, 3000));
}

#[test]
fn a_worker_that_hands_back_at_once_is_not_asked_again_at_once() {
    let mut provider = Provider::flawless(1);
    provider.hand_back = 1.0;
    let mut job = JobPlan::plain(1);
    job.options.chunk_size = Some(1);
    let report = &ends(provider, vec![job])[0];
    assert!(report.end.is_err() && report.at > Duration::from_secs(10), "{report:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let runs = [sim::run(seed), sim::run(seed)].map(|run| {
            let reports = run.unwrap_or_else(|failure| panic!("{failure}"));
            reports.iter().map(|report| (report.at, report.stats, report.progress)).collect::<Vec<_>>()
        });
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}

#[test]
fn invocations_that_vanish_are_given_up_and_run_again() {
    let mut provider = Provider::flawless(10);
    provider.times = Times::Constant(Duration::from_secs(1));
    provider.silent = 0.3;
    provider.heartbeat = Some(Duration::from_secs(1));
    let mut job = JobPlan::plain(500);
    job.options.chunk_size = Some(1);
    job.options.retry.retries = Some(20);
    let report = &ends(provider, vec![job])[0];
    assert!(report.end.is_ok() && report.progress.done == 500, "{report:?}");
    assert!((150..300).contains(&report.stats.lost), "{report:?}");
    // Ten at once, of whom one in three holds its place for 4 or for 10 seconds more.
    assert!(report.at < Duration::from_mins(5), "{report:?}");
}

#[test]
fn a_worker_that_never_begins_costs_no_attempt() {
    let mut provider = Provider::flawless(4);
    provider.vanish = 0.3;
    let mut job = JobPlan::plain(200);
    job.options.chunk_size = Some(1);
    job.options.retry.retries = Some(0);
    let report = &ends(provider, vec![job])[0];
    assert!(report.stats.lost > 40 && report.stats.failures == 0, "{report:?}");
    assert!(report.progress.done == 200, "{report:?}");
}

#[test]
fn what_an_invocation_brings_after_it_was_given_up_is_not_done_again() {
    let mut provider = Provider::flawless(4);
    provider.times = Times::Constant(Duration::from_millis(100));
    provider.heartbeat = Some(Duration::from_secs(1));
    provider.silent = 0.5;
    provider.ghosts = 1.0;
    let mut job = JobPlan::plain(2000);
    job.options.chunk_size = Some(50);
    let report = &ends(provider, vec![job])[0];
    assert!(report.stats.lost > 10 && report.progress.done == 2000, "{report:?}");
    // Halves are waiting, or at another worker already, when results of the whole come late.
    let sent_again = report.stats.handed_back;
    assert!(report.stats.duplicates < sent_again / 2, "{report:?}");
}

/// Makespans in seconds and the last report, over some seeds.
fn makespans(provider: &Provider, job: &JobPlan) -> (Vec<f64>, Vec<Report>) {
    let run = |seed| {
        let scenario = Scenario { seed, provider: provider.clone(), jobs: vec![job.clone()] };
        sim::run_scenario(&scenario, true).unwrap_or_else(|failure| panic!("{failure}")).remove(0)
    };
    let reports: Vec<Report> = (0..10).map(run).collect();
    (reports.iter().map(|report| report.at.as_secs_f64()).collect(), reports)
}

#[test]
fn backups_cut_off_the_tail_of_heavy_tailed_times() {
    let mut provider = Provider::flawless(100);
    provider.times = Times::Pareto { least: Duration::from_secs(1), alpha: 1.2, most: Times::HOUR };
    let mut job = JobPlan::plain(1000);
    job.options.chunk_size = Some(1);
    job.options.backups = Backups::Off;
    let (without, off) = makespans(&provider, &job);
    job.options.backups = Backups::ON;
    let (with, on) = makespans(&provider, &job);
    assert!(off.iter().all(|report| report.stats.backups == 0));
    let sum = |times: &[f64]| times.iter().sum::<f64>();
    assert!(sum(&with) < 0.4 * sum(&without), "{with:?} {without:?}");
    // A quarter of the elements is left when it begins; most of these are not slow.
    let backups: Vec<u64> = on.iter().map(|report| report.stats.backups).collect();
    assert!(backups.iter().all(|count| (10..100).contains(count)), "{backups:?}");
}

#[test]
fn where_nothing_is_slow_there_are_no_backups() {
    let mut provider = Provider::flawless(100);
    provider.stragglers = true;
    let (_, reports) = makespans(&provider, &JobPlan::plain(1000));
    assert!(reports.iter().all(|report| report.stats.backups == 0), "{reports:?}");
}

/// Each element kills its process twice, and may be tried three times. Many an attempt is slow and is with two workers.
#[test]
fn an_attempt_that_fails_with_a_backup_as_well_is_charged_once() {
    let mut provider = Provider::flawless(100);
    provider.times = Times::Pareto { least: Duration::from_secs(1), alpha: 1.2, most: Times::HOUR };
    let mut job = JobPlan::plain(300);
    job.options.chunk_size = Some(1);
    job.options.backups = Backups::ON;
    job.options.retry.retries = Some(2);
    job.poison.extend((0..300).map(|index| (index, Poison::Killed(2))));
    let (_, reports) = makespans(&provider, &job);
    assert!(reports.iter().all(|report| report.end.is_ok()), "{reports:?}");
    assert!(
        reports.iter().any(|report| report.stats.backups > 0 && report.stats.failures > 600),
        "{reports:?}"
    );
}

/// Its backup dies as well, later; so does the backup of that, which was sent while it was the only one left, and so on.
#[test]
fn a_chunk_that_dies_with_its_backups_is_halved_all_the_same() {
    let mut provider = Provider::flawless(2);
    provider.times = Times::Pareto { least: Duration::from_secs(1), alpha: 1.2, most: Times::HOUR };
    let takes_long = |seed: &u64| provider.times.of(*seed, 97) > Duration::from_mins(2);
    provider.fixed_times = (0..10_000).find(takes_long);
    let mut job = JobPlan::plain(100);
    job.options.chunk_size = Some(5);
    job.options.backups = Backups::ON;
    job.poison.insert(97, Poison::Vanishes(1));
    let report = &ends(provider, vec![job])[0];
    assert!(report.end.is_ok() && report.progress.done == 100, "{report:?}");
    // 20 chunks, and those of five, of two and of one, with two backups each.
    assert!(report.stats.backups > 0 && report.stats.invocations < 45, "{report:?}");
}

#[test]
fn what_one_slow_worker_has_is_spread_over_free_ones() {
    // One or two of a hundred chunks fall silent, and it is long before their leases end.
    let mut provider = Provider::flawless(20);
    provider.times = Times::Constant(Duration::from_secs(1));
    provider.silent = 0.02;
    provider.heartbeat = Some(Duration::from_mins(10));
    let mut job = JobPlan::plain(2000);
    job.options.chunk_size = Some(20);
    job.options.backups = Backups::ON;
    let (times, reports) = makespans(&provider, &job);
    // Where a backup fell silent as well, nothing but its lease can tell.
    let backed_up =
        reports.iter().zip(times).filter(|(report, _)| report.stats.backups > 0 && report.stats.lost == 0);
    let times: Vec<f64> = backed_up.map(|(_, at)| at).collect();
    // 100 s of work, twice the time of a chunk until one is slow, and twenty times one second shared by nineteen.
    assert!(times.len() >= 3 && times.iter().all(|at| *at < 100.0 + 40.0 + 5.0), "{times:?}");
}

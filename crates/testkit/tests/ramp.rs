//! Makespans on a simulated provider with a ramp, in small: `rustwren-testkit ramp` prints those in
//! `docs/reliability.md`.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use rustwren_chaos::ramp::Ramp;
use rustwren_core::scheduler::Backups;
use rustwren_testkit::sim::{Contest, Performance, Times};

const S: Duration = Duration::from_secs(1);

/// A tenth of Lambda.
fn contest(seed: u64, times: Times) -> Contest {
    let ramp = Ramp { start: 100, step: 100, every: 10 * S, most: 1000 };
    Contest { times, ramp, ..Contest::lambda(seed, 6000) }
}

fn scheduler(contest: &Contest, backups: Backups) -> Performance {
    let performance = contest.scheduler(backups).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(performance.missing, 0);
    performance
}

#[test]
fn a_ramp_is_followed_without_being_told() {
    for times in [Times::Constant(2 * S), Times::Exponential(2 * S)] {
        let contest = Contest { faults: false, ..contest(1, times) };
        let (got, ideal) = (scheduler(&contest, Backups::Off), contest.ideal());
        assert!(got.makespan < ideal.mul_f64(1.05), "{times:?}: {got:?}, ideally {ideal:?}");
        // A burst of 2 000 at the beginning, of which 100 are taken.
        assert!(got.refused < 4500, "{times:?}: {got:?}");
    }
}

#[test]
fn faults_are_mended_nearly_as_if_they_were_noticed_at_once() {
    for seed in 0..2 {
        let mut contest = contest(seed, Times::Pareto { least: S, alpha: 1.5, most: 10 * S });
        contest.tasks = 6000;
        let (got, ideal) = (scheduler(&contest, Backups::Auto), contest.ideal_with_faults().makespan);
        assert!(got.makespan < ideal.mul_f64(1.1), "seed {seed}: {got:?}, ideally {ideal:?}");
    }
}

#[test]
fn backups_pay_where_workers_are_slow() {
    let mut contest = contest(1, Times::Pareto { least: S, alpha: 1.5, most: 60 * S });
    (contest.tasks, contest.slow_workers) = (3000, true);
    let [off, on] = [Backups::Off, Backups::ON].map(|backups| scheduler(&contest, backups));
    assert!(on.makespan < off.makespan.mul_f64(0.8), "{on:?} {off:?}");
    assert!(on.worked < off.worked.mul_f64(1.05), "{on:?} {off:?}");
}

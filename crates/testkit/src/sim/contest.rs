//! The same tasks on the same simulated provider by different policies: the scheduler's, PyWren's, Lithops', and the
//! ideal. `docs/reliability.md` has the results.

mod ideal;
mod others;
mod world;

use std::time::Duration;

use rustwren_chaos::ramp::Ramp;
use rustwren_chaos::{ChaosPlan, StoragePlan};
use rustwren_core::scheduler::{Backups, OnError};

use super::chaos::Chaos;
use super::consumer::Consumer;
use super::provider::Provider;
use super::scenario::{JobPlan, Scenario};
use super::trial::{Failure, run_chaos};
use super::work::Times;

/// How often a worker says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Tasks, and a provider with a ramp that loses 2 % of invocations and 1 % of workers: chaos's profile `lambda`.
#[derive(Debug, Clone)]
pub struct Contest {
    /// Of all that is drawn.
    pub seed: u64,
    /// How many tasks.
    pub tasks: u64,
    /// How long they take.
    pub times: Times,
    /// Whether a time belongs to the attempt, so that it is another one elsewhere, and not to the task.
    pub slow_workers: bool,
    /// How the provider lets a client grow.
    pub ramp: Ramp,
    /// Whether invocations and workers get lost.
    pub faults: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Performance {
    /// Until the client has the last result that it will ever have.
    pub makespan: Duration,
    /// Tasks without a result. A policy that has some waits for ever, or ends with an error.
    pub missing: u64,
    /// Invocations sent.
    pub calls: u64,
    /// Of those, refused: too many requests.
    pub refused: u64,
    /// Tasks that were run a second time because they seemed slow.
    pub backups: u64,
    /// How long workers were taken up, added up.
    pub worked: Duration,
}

impl Contest {
    /// On AWS Lambda, up to 10 000 at once.
    pub fn lambda(seed: u64, tasks: u64) -> Self {
        let second = Duration::from_secs(1);
        let times = Times::Pareto { least: second, alpha: 1.5, most: second * 60 };
        Self { seed, tasks, times, slow_workers: false, ramp: Ramp::lambda(10_000), faults: true }
    }

    /// How long a task takes, wherever it runs.
    fn time(&self, index: u64) -> Duration {
        self.times.of(self.seed, index)
    }

    /// What goes wrong.
    fn plan(&self) -> ChaosPlan {
        // The scheduler is told that there are twice as many workers as there will ever be.
        let lambda = ChaosPlan::lambda();
        let plan = ChaosPlan { ramp: Some(self.ramp), concurrency: Some(2 * self.ramp.most), ..lambda };
        if self.faults { plan } else { ChaosPlan { lost: 0.0, crashed: 0.0, crashed_after: 0.0, ..plan } }
    }

    /// By `RustWren`'s scheduler, the whole of it, which is told nothing of the ramp.
    pub fn scheduler(&self, backups: Backups) -> Result<Performance, Box<Failure>> {
        let mut provider = Provider::flawless(2 * self.ramp.most);
        provider.latency = Duration::ZERO;
        provider.times = self.times;
        provider.fixed_times = (!self.slow_workers).then_some(self.seed);
        provider.reports_start = true;
        provider.heartbeat = Some(HEARTBEAT);
        provider.stragglers = true;
        let mut job = JobPlan::plain(self.tasks);
        // Of a million tasks some meet with misfortune more than three times.
        job.options.retry.retries = Some(10);
        job.options.on_error = OnError::Collect;
        job.options.backups = backups;
        job.options.seed = self.seed;
        job.consumer = Consumer::Stream(Duration::ZERO);
        let scenario = Scenario { seed: self.seed, provider, jobs: vec![job] };
        let chaos = Chaos { plan: self.plan(), storage: StoragePlan::calm() };
        let (reports, faults) = run_chaos(&scenario, Some(&chaos), false)?;
        let Some(report) = reports.first() else { return Ok(Performance::default()) };
        Ok(Performance {
            makespan: report.at,
            missing: self.tasks - report.progress.done,
            calls: report.stats.invocations,
            refused: report.stats.throttled,
            backups: report.stats.backups,
            worked: faults.worked,
        })
    }
}

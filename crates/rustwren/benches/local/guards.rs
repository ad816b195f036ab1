//! What it costs a job without a fault that nothing may get lost: leases, backups, budgets, the journal.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren::blocking::block_on;
use rustwren::invoker::{Events, Invocation, Invoker, Limits, LogLine, Reply, ResultBatch};
use rustwren::storage::Storage;
use rustwren::{BackendError, Backups, Executor, MapBuilder};
use rustwren_core::config::Settings;
use rustwren_local::config::{COMPUTE, ComputeConfig};
use rustwren_local::{DirectoryStorage, LocalInvoker, LocalOptions};

use crate::report::{Table, family_cpu, interval, median, time};
use crate::spin::{rounds_per_ms, spin};
use crate::{Outcome, Setting};

/// Far beyond what the job takes.
const AMPLE: Duration = Duration::from_hours(10_000);

/// How a job is guarded, from nothing at all to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Guards {
    Nothing,
    Leases,
    Backups,
    Budget,
    Journal,
}

impl Guards {
    const ALL: [Self; 5] = [Self::Nothing, Self::Leases, Self::Backups, Self::Budget, Self::Journal];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Leases => "leases",
            Self::Backups => "and backups",
            Self::Budget => "and budget",
            Self::Journal => "and journal",
        }
    }

    fn of(self, mut job: MapBuilder<u64>) -> MapBuilder<u64> {
        job = job.backups(if self >= Self::Backups { Backups::ON } else { Backups::Off });
        if self >= Self::Budget {
            job = job.timeout(Duration::from_hours(1)).max_worker_time(AMPLE).max_invocations(1 << 40);
        }
        if self == Self::Journal { job.durable() } else { job }
    }
}

/// The local backend without what leases are reckoned from.
#[derive(Debug)]
struct Bare {
    inner: LocalInvoker,
    limits: Limits,
}

/// Passes results and output on, and no signs of life.
struct Hushed(Arc<dyn Events>);

impl Events for Hushed {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        self.0.results(invocation, batch);
    }

    fn started(&self, _: u64) {}

    fn log(&self, invocation: u64, line: LogLine) {
        self.0.log(invocation, line);
    }
}

#[async_trait]
impl Invoker for Bare {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let hushed: Arc<dyn Events> = Arc::new(Hushed(Arc::clone(events)));
        self.inner.invoke(invocation, &hushed).await
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.inner.invoke_detached(invocation).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

fn executor(dir: &std::path::Path, workers: usize, leases: bool) -> rustwren::Result<Executor> {
    let root = dir.to_owned();
    block_on(Executor::builder().build(move || async move {
        let settings = Settings::of_program(&COMPUTE, &root, [("workers", workers as u64)])?;
        let storage: Arc<dyn Storage> = Arc::new(DirectoryStorage::open(root.join("storage"))?);
        let config = ComputeConfig::from_settings(&settings)?;
        let options = LocalOptions::from_config(config, &settings, Arc::clone(&storage))?;
        let local = LocalInvoker::new(options);
        if leases {
            return Ok((Arc::new(local) as Arc<dyn Invoker>, storage));
        }
        let mut limits = local.limits().clone();
        (limits.reports_start, limits.heartbeat, limits.max_duration) = (false, None, None);
        Ok((Arc::new(Bare { inner: local, limits }) as Arc<dyn Invoker>, storage))
    }))
}

pub(crate) fn run(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let bare = executor(dir.path(), setting.cores, false)?;
    let guarded = executor(dir.path(), setting.cores, true)?;
    let (rounds, tasks) = if setting.quick { (5, 500) } else { (120, 1000) };
    let inputs = vec![rounds_per_ms(); tasks];
    let what =
        format!("{tasks} busy tasks of 1 ms over {} processes, {rounds} rounds, by guards", setting.cores);
    let head = ["guards", "CPU ratio", "95 % interval", "least and most", "makespan", "95 % interval"];
    let table = Table::new("guards", &what, &head);
    // The first is what the others are compared with, among them itself once more: what that differs is chance.
    let jobs: Vec<Guards> = std::iter::once(Guards::Nothing).chain(Guards::ALL).collect();
    let mut measured: Vec<Vec<(f64, f64)>> = vec![Vec::new(); jobs.len()];
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    let mut rng = fastrand::Rng::with_seed(7);
    // The first round starts the processes.
    for round in 0..=rounds {
        rng.shuffle(&mut order);
        for &place in &order {
            let guards = jobs[place];
            let executor = if guards == Guards::Nothing { &bare } else { &guarded };
            let before = family_cpu()?;
            let (outcome, took) = time(|| {
                let job = block_on(guards.of(executor.map(spin, inputs.clone())).spawn())?;
                block_on(job.results())
            });
            assert_eq!(outcome?.len(), tasks);
            if round > 0 {
                measured[place].push((family_cpu()? - before, took));
            }
        }
    }
    let (first, others) = measured.split_first().ok_or("nothing was measured")?;
    for (guards, with) in Guards::ALL.into_iter().zip(others) {
        let mut ratios: Vec<f64> = with.iter().zip(first).map(|((a, _), (b, _))| a / b).collect();
        let spans: Vec<f64> = with.iter().zip(first).map(|((_, a), (_, b))| a / b).collect();
        let (cpu, span) = (interval(&ratios), interval(&spans));
        ratios.sort_by(f64::total_cmp);
        let range = |(low, high): (f64, f64)| format!("{low:.3}..{high:.3}");
        table.row(&[
            guards.name().to_owned(),
            format!("{:.3}", median(ratios.clone())),
            range(cpu),
            range((ratios[0], ratios[ratios.len() - 1])),
            format!("{:.3}", median(spans)),
            range(span),
        ]);
    }
    Ok(())
}

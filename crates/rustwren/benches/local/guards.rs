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

use crate::report::{Table, family_cpu, median, time};
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
    let (rounds, tasks) = if setting.quick { (5, 500) } else { (21, 2000) };
    let inputs = vec![rounds_per_ms(); tasks];
    let what = format!("{tasks} busy tasks of 1 ms over {} processes, by what guards them", setting.cores);
    let table = Table::new("guards", &what, &["guards", "CPU ratio", "ratios", "makespan ratio"]);
    let mut measured: Vec<Vec<(f64, f64)>> = vec![Vec::new(); Guards::ALL.len()];
    // The first round starts the processes.
    for round in 0..=rounds {
        for turn in 0..Guards::ALL.len() {
            // Each follows each as often as any other does.
            let place = (turn + round) % Guards::ALL.len();
            let guards = Guards::ALL[place];
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
    for (guards, with) in Guards::ALL.into_iter().zip(&measured) {
        let mut ratios: Vec<f64> = with.iter().zip(&measured[0]).map(|((a, _), (b, _))| a / b).collect();
        let spans = with.iter().zip(&measured[0]).map(|((_, a), (_, b))| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        let range = format!("{:.3}..{:.3}", ratios[0], ratios[ratios.len() - 1]);
        table.row(&[
            guards.name().to_owned(),
            format!("{:.3}", median(ratios)),
            range,
            format!("{:.3}", median(spans)),
        ]);
    }
    Ok(())
}

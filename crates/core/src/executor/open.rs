//! The two ends of a job in this process: what its holder has, and what its scheduler writes to.

use std::sync::{Arc, OnceLock};

use super::futures::Table;
use super::handle::Executor;
use super::job::{Job, JobCore};
use super::spawn::Keeps;
use super::watch::{JobHandle, JobObserver};
use crate::durable::JobId;
use crate::scheduler::Commands;
use crate::scheduler::outbox::Outbox;

pub(super) struct Opened {
    handle: JobHandle,
    table: Arc<OnceLock<Arc<Table>>>,
}

/// Makes both ends and tells whoever watches.
pub(super) fn open(executor: &Executor, id: &JobId, label: &str, buffer: usize, keeps: Keeps) -> Opened {
    let outbox = Outbox::new(Commands::default(), buffer);
    let (id, label): (Arc<str>, Arc<str>) = (id.as_str().into(), label.into());
    let table = Arc::new(OnceLock::new());
    let watcher = executor.inner.watcher.clone();
    outbox.observe(Arc::new(JobObserver {
        id: Arc::clone(&id),
        label: Arc::clone(&label),
        watcher: watcher.clone(),
        table: Arc::clone(&table),
    }));
    let handle = JobHandle { id, label, outbox, keeps };
    if let Some(watcher) = watcher {
        watcher.started(handle.clone());
    }
    Opened { handle, table }
}

impl Opened {
    /// Where its scheduler delivers.
    pub(super) fn outbox(&self) -> Outbox {
        self.handle.outbox.clone()
    }

    /// A look at it.
    pub(super) fn handle(&self) -> JobHandle {
        self.handle.clone()
    }

    /// What its holder has.
    pub(super) fn job<O>(self, executor: Executor) -> Job<O> {
        Job::new(JobCore { handle: self.handle, executor, table: self.table })
    }
}

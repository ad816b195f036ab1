//! What a progress bar or log printer needs to know of jobs.

use std::sync::{Arc, OnceLock};

use super::futures::Table;
use crate::invoker::LogLine;
use crate::scheduler::outbox::{End, Observer, Outbox};
use crate::scheduler::stats::{JobStats, Progress};

/// A look at a job that does not keep it alive.
#[derive(Debug, Clone)]
pub struct JobHandle {
    pub(super) id: Arc<str>,
    pub(super) label: Arc<str>,
    pub(super) outbox: Outbox,
}

impl JobHandle {
    /// The job's unique name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The user's name for it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.outbox.progress()
    }

    /// What it has cost.
    pub fn stats(&self) -> JobStats {
        self.outbox.stats()
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.outbox.end()
    }
}

/// Is told about the jobs of an executor. Methods must return at once.
pub trait Watcher: Send + Sync + 'static {
    /// A job begins.
    fn started(&self, job: JobHandle);

    /// Tasks of a job wrote to stdout or stderr. `first` is the index of the first element that may have.
    fn log(&self, label: &str, first: u64, line: &LogLine);

    /// The job with this id is about to end: what waits for it goes on after this. May be said twice.
    fn ending(&self, id: &str);
}

/// Passes what the scheduler sees on to those who care.
pub(super) struct JobObserver {
    pub(super) id: Arc<str>,
    pub(super) label: Arc<str>,
    pub(super) watcher: Option<Arc<dyn Watcher>>,
    pub(super) table: Arc<OnceLock<Arc<Table>>>,
}

impl Observer for JobObserver {
    fn running(&self, first: u64, count: u32) {
        if let Some(table) = self.table.get() {
            table.mark(first, count, true);
        }
    }

    fn waiting(&self, first: u64, count: u32) {
        if let Some(table) = self.table.get() {
            table.mark(first, count, false);
        }
    }

    fn log(&self, first: u64, line: &LogLine) {
        if let Some(watcher) = &self.watcher {
            watcher.log(&self.label, first + u64::from(line.offset), line);
        }
    }

    fn ending(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.ending(&self.id);
        }
    }
}

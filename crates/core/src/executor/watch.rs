//! What a progress bar or log printer needs to know of jobs.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};

use super::futures::Table;
use super::spawn::Keeps;
use crate::invoker::LogLine;
use crate::scheduler::outbox::{End, Observer, Outbox};
use crate::scheduler::stats::{JobStats, Progress};

/// A look at a job that does not keep it alive.
#[derive(Debug, Clone)]
pub struct JobHandle {
    pub(super) id: Arc<str>,
    pub(super) label: Arc<str>,
    pub(super) outbox: Outbox,
    pub(super) keeps: Keeps,
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

    /// What of it outlives the program.
    pub fn keeps(&self) -> Keeps {
        self.keeps
    }

    /// Whether it is run by this program, as against one that it looks on at, or one that has ended.
    pub fn is_driven_here(&self) -> bool {
        self.outbox.is_driven()
    }

    /// Its [`Job`](super::Job) is gone: it is cancelled, or left alone if something of it is kept.
    pub(super) fn let_go(&self) {
        match self.keeps {
            Keeps::Nothing => self.outbox.commands().cancel(),
            Keeps::Results | Keeps::Everything => self.outbox.commands().leave(),
        }
    }

    /// The program is about to exit: stops the work on a job of which something is kept, and completes when what is
    /// finished is kept as well. Whoever waits for the job waits on.
    pub async fn leave_at_exit(&self) {
        if self.keeps != Keeps::Nothing {
            self.outbox.hush();
            self.outbox.commands().leave();
            poll_fn(|cx| self.outbox.poll_end(cx)).await;
        }
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

//! What a step can be told.

use std::time::Duration;

use super::{Pipeline, Stage, Takes};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::builder::MapBuilder;
use crate::price::Usd;
use crate::scheduler::Budget;

/// A step's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Settings {
    workers: Option<usize>,
    chunk_size: Option<u32>,
    retries: Option<u32>,
    timeout: Option<Duration>,
    concurrency: Option<u32>,
    budget: Budget,
}

impl Settings {
    #[cfg(test)]
    pub(super) fn with_workers(workers: usize) -> Self {
        Self { workers: Some(workers), ..Self::default() }
    }

    /// The job of a step with these settings.
    pub(super) fn apply<O>(self, mut job: MapBuilder<O>) -> MapBuilder<O> {
        if let Some(workers) = self.workers {
            job = job.workers(workers);
        }
        if let Some(chunk_size) = self.chunk_size {
            job = job.chunk_size(chunk_size);
        }
        if let Some(retries) = self.retries {
            job = job.retries(retries);
        }
        if let Some(timeout) = self.timeout {
            job = job.timeout(timeout);
        }
        if let Some(concurrency) = self.concurrency {
            job = job.concurrency(concurrency);
        }
        job.budget = self.budget.or(job.budget);
        job
    }

    /// Refuses what a step that takes this cannot be told.
    pub(super) fn check(self, label: &str, takes: Takes) -> Result<()> {
        if takes == Takes::List && self.timeout.is_some() {
            let message = format!("step {label} takes lists, and a timeout is for one item");
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("write it as a step over items (`map`, `flat_map`) to limit their time"));
        }
        Ok(())
    }
}

/// Settings of the step before. On a pipeline without steps, and on a sequential step, they have no effect but
/// [`label`](Self::label).
impl<T> Pipeline<T> {
    /// See [`MapBuilder::workers`].
    pub fn workers(self, workers: usize) -> Self {
        self.set(|settings| settings.workers = Some(workers))
    }

    /// See [`MapBuilder::chunk_size`]. For a step over lists: how many items a list has, up to 1 024.
    pub fn chunk_size(self, items: u32) -> Self {
        self.set(|settings| settings.chunk_size = Some(items))
    }

    /// See [`MapBuilder::retries`].
    pub fn retries(self, retries: u32) -> Self {
        self.set(|settings| settings.retries = Some(retries))
    }

    /// See [`MapBuilder::timeout`]. Not for steps over lists.
    pub fn timeout(self, limit: Duration) -> Self {
        self.set(|settings| settings.timeout = Some(limit))
    }

    /// See [`MapBuilder::concurrency`].
    pub fn concurrency(self, items: u32) -> Self {
        self.set(|settings| settings.concurrency = Some(items))
    }

    /// See [`MapBuilder::budget_usd`]. Of this step; the pipeline ends with its error.
    pub fn budget_usd(self, dollars: f64) -> Self {
        self.set(|settings| settings.budget.cost = Some(Usd::saturating(dollars)))
    }

    /// See [`MapBuilder::max_invocations`]. Of this step.
    pub fn max_invocations(self, invocations: u64) -> Self {
        self.set(|settings| settings.budget.invocations = Some(invocations))
    }

    /// See [`MapBuilder::max_worker_time`]. Of this step.
    pub fn max_worker_time(self, time: Duration) -> Self {
        self.set(|settings| settings.budget.worker_time = Some(time))
    }

    /// A name for the step: in the report, in progress and in errors. Its function's name by default.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        match self.stages.last_mut() {
            Some(Stage::Parallel(step)) => step.label = label.into(),
            Some(Stage::Sequential(step)) => step.label = label.into(),
            None => {}
        }
        self
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        if let Some(Stage::Parallel(step)) = self.stages.last_mut() {
            set(&mut step.settings);
        }
        self
    }
}

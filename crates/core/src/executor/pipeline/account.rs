//! What is noted of the steps while they run.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::report::{StepKind, StepReport};
use crate::failure::TaskError;
use crate::task::step::Course;

/// The steps of one run and the items that failed in them.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    steps: Vec<Account>,
    failed: Vec<TaskError>,
}

#[derive(Debug)]
struct Account {
    label: String,
    kind: StepKind,
    begun: Instant,
    ended: Instant,
    busy: Duration,
    workers: HashSet<u32>,
    taken: u64,
    given: u64,
    failed: u64,
}

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins; its number.
    pub(super) fn begin(&self, label: &str, kind: StepKind) -> usize {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.steps.push(Account {
            label: label.to_owned(),
            kind,
            begun: now,
            ended: now,
            busy: Duration::ZERO,
            workers: HashSet::new(),
            taken: 0,
            given: 0,
            failed: 0,
        });
        inner.steps.len() - 1
    }

    /// Items have gone through steps from `first` on; `count` came in.
    pub(super) fn passed(&self, first: usize, count: u64, course: &Course) {
        let mut inner = self.lock();
        let now = Instant::now();
        let mut taken = count;
        for (step, (busy, given)) in inner.steps[first..].iter_mut().zip(&course.steps) {
            step.ended = now;
            step.busy += *busy;
            step.workers.insert(course.worker);
            step.taken += taken;
            step.given += u64::from(*given);
            taken = u64::from(*given);
        }
    }

    /// Items came in that were counted with their neighbours' outputs.
    pub(super) fn came_along(&self, first: usize) {
        if let Some(step) = self.lock().steps.get_mut(first) {
            step.taken += 1;
        }
    }

    /// An item failed in one of the steps from `first` on.
    pub(super) fn failed(&self, first: usize, error: TaskError) {
        let mut inner = self.lock();
        if let Some(step) = inner.steps.get_mut(first) {
            step.taken += 1;
            step.failed += 1;
        }
        inner.failed.push(error);
    }

    /// A sequential step has ended.
    pub(super) fn sequential(&self, number: usize, taken: u64, given: u64) {
        if let Some(step) = self.lock().steps.get_mut(number) {
            step.ended = Instant::now();
            step.busy = step.ended.saturating_duration_since(step.begun);
            (step.taken, step.given) = (taken, given);
        }
    }

    /// What failed so far.
    pub(super) fn take_failed(&self) -> Vec<TaskError> {
        std::mem::take(&mut self.lock().failed)
    }

    /// The steps as they stand.
    pub(super) fn steps(&self) -> Vec<StepReport> {
        let report = |step: &Account| StepReport {
            label: step.label.clone(),
            kind: step.kind,
            elapsed: step.ended.saturating_duration_since(step.begun),
            busy: step.busy,
            workers: step.workers.len(),
            inputs: step.taken,
            outputs: step.given,
            failed: step.failed,
        };
        self.lock().steps.iter().map(report).collect()
    }
}

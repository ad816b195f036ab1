//! What a task can ask about itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::executor::storage;
use crate::storage::Storage;
use crate::worker::{self, TaskInfo};

/// The task that is running on this thread, if any. Made by [`task()`](fn@task).
#[derive(Debug, Clone)]
pub struct Task {
    info: Option<TaskInfo>,
}

/// The task that is running on the calling thread.
///
/// Outside of a task, a function that asks finds itself at index 0 of no job on its first attempt, without
/// deadline: so it can be called and tested as the ordinary function it is. Threads that a task starts itself
/// are outside of it.
pub fn task() -> Task {
    Task { info: worker::current() }
}

impl Task {
    /// Whether this is a task at all.
    pub fn is_remote(&self) -> bool {
        self.info.is_some()
    }

    /// The position of its input among the job's inputs, from 0.
    pub fn index(&self) -> u64 {
        self.info.as_ref().map_or(0, |info| info.index)
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.info.as_ref().map_or(1, |info| info.attempt)
    }

    /// When its time is up, where it is limited: by the job's [`timeout`](crate::executor::MapBuilder::timeout), or by
    /// how long the provider lets the invocation last that it is part of. A task that is not done when its invocation
    /// ends is run again in the next, from its start and at no cost of an attempt, unless it has had a whole
    /// invocation to itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.info.as_ref().and_then(|info| info.deadline)
    }

    /// How much time it has left, where it is limited.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The storage of its job, for the program's own objects: what one task or the client puts there others can read. See
    /// [`Executor::storage`](crate::executor::Executor::storage). Outside of a task, the storage of this process's
    /// configuration.
    ///
    /// It can be used on any thread; plain functions wait with `rustwren::blocking::block_on`. An error where the storage
    /// cannot be reached from here, or is only in the client's memory. Secrets are not handed down: where a storage needs
    /// some, the worker has its own, or is given them (`pass_env`).
    pub fn storage(&self) -> Result<Arc<dyn Storage>> {
        storage::of_process()
    }

    /// The unique name of its job; empty outside of a task.
    pub fn job(&self) -> &str {
        self.info.as_ref().map_or("", |info| &info.job)
    }

    /// The label of its job; empty outside of a task.
    pub fn label(&self) -> &str {
        self.info.as_ref().map_or("", |info| &info.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_a_task_there_is_a_harmless_answer() {
        let task = task();
        assert!(!task.is_remote());
        assert_eq!((task.index(), task.attempt(), task.deadline(), task.job()), (0, 1, None, ""));
    }
}

//! What has gone wrong so far.

use std::sync::{Mutex, PoisonError};

/// How often each fault befell an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Invocations that arrived.
    pub invocations: u64,
    /// Environments started.
    pub cold_starts: u64,
    /// Throttled because the ramp or the size of the fleet said so.
    pub refused: u64,
    /// Throttled for no visible reason.
    pub throttled: u64,
    /// Failed before they reached a worker.
    pub transient: u64,
    /// Never answered, and never run.
    pub lost: u64,
    /// Never answered, and run.
    pub lost_after: u64,
    /// Crashed before anything was done.
    pub crashed: u64,
    /// Crashed when everything was done.
    pub crashed_after: u64,
    /// Given back, in part or whole.
    pub handed_back: u64,
    /// Second runs begun.
    pub duplicated: u64,
    /// Held back.
    pub stragglers: u64,
    /// Batches of results that came after a later one.
    pub reordered: u64,
    /// Batches of results that were reported once more.
    pub repeated: u64,
    /// Gone on when they had been given up.
    pub ghosts: u64,
}

/// How often each fault befell a storage operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StorageTally {
    /// Operations that arrived.
    pub operations: u64,
    /// Made slow.
    pub slow: u64,
    /// Throttled.
    pub throttled: u64,
    /// Failed without having done anything.
    pub transient: u64,
    /// Done, and failed all the same.
    pub ambiguous: u64,
}

/// A tally that many calls count in.
#[derive(Debug, Default)]
pub(crate) struct Counter<T>(Mutex<T>);

impl<T: Copy> Counter<T> {
    pub(crate) fn count(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn get(&self) -> T {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Cancelling a write that runs on another thread.

use std::sync::{Arc, Mutex, PoisonError};

/// Lets one step of a write happen, unless the write was cancelled before.
///
/// A blocking thread goes on when the future that waits for it is dropped. Without a gate a cancelled `put` could
/// replace what a later one wrote.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<bool>>);

/// Shuts the gate when it is dropped, and waits for a step that is under way.
#[derive(Debug)]
pub(super) struct ShutOnDrop(Gate);

impl Gate {
    /// An open gate, and what shuts it.
    pub(super) fn new() -> (Self, ShutOnDrop) {
        let gate = Self::default();
        (gate.clone(), ShutOnDrop(gate))
    }

    /// Does `step` if the gate is open.
    pub(super) fn pass<T>(&self, step: impl FnOnce() -> T) -> Option<T> {
        let shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!*shut).then(step)
    }
}

impl Drop for ShutOnDrop {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_a_shut_gate() {
        let (gate, shut) = Gate::new();
        assert_eq!(gate.pass(|| 1), Some(1));
        drop(shut);
        assert_eq!(gate.pass(|| 2), None);
    }
}

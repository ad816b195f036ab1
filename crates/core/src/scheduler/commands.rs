//! What the holder of a job may tell its scheduler.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Stop everything.
    Cancel,
    /// Give this element up.
    CancelElement(u64),
    /// Stop driving: what is finished is kept, and somebody else may go on.
    Leave,
    /// Tell the observer which elements run now.
    Announce,
}

/// The way from a job's handle to its scheduler.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Vec<Command>>,
    waker: AtomicWaker,
}

impl Commands {
    /// Stops the job: what is under way is cancelled, no more results come.
    pub fn cancel(&self) {
        self.send(Command::Cancel);
    }

    /// Stops the work on a durable job here: what is finished is recorded, and somebody else may go on. Any other job
    /// is stopped as by [`cancel`](Self::cancel).
    pub fn leave(&self) {
        self.send(Command::Leave);
    }

    /// Gives one element up, whether it waits or runs. No effect on one that is finished.
    pub fn cancel_element(&self, index: u64) {
        self.send(Command::CancelElement(index));
    }

    /// Has the observer told which elements are running now; later changes it hears anyway.
    pub fn announce(&self) {
        self.send(Command::Announce);
    }

    /// Makes the scheduler look again, after its surroundings changed.
    pub fn nudge(&self) {
        self.inner.waker.wake();
    }

    fn send(&self, command: Command) {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.inner.waker.wake();
    }

    /// All orders since the last call.
    pub(super) fn take(&self, cx: &Context<'_>) -> Vec<Command> {
        self.inner.waker.register(cx.waker());
        std::mem::take(&mut *self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

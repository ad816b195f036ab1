//! A job whose outputs another job takes.

use std::convert::Infallible;

use tokio::sync::oneshot;

use super::watch::JobHandle;

/// Holds such a job. It does not keep the executor: the other job, which has this, runs on the executor's own thread.
///
/// Dropping it ends the job, and has what workers have stored of its outputs removed.
#[derive(Debug)]
pub(super) struct Feeding {
    pub(super) handle: JobHandle,
    /// Nothing is sent: as long as it is there, what workers have stored is needed.
    _needed: oneshot::Sender<Infallible>,
    over: Option<oneshot::Receiver<Infallible>>,
}

impl Feeding {
    /// A job under way.
    pub(super) fn new(
        handle: JobHandle,
        needed: oneshot::Sender<Infallible>,
        over: oneshot::Receiver<Infallible>,
    ) -> Self {
        Self { handle, _needed: needed, over: Some(over) }
    }

    /// What ends when nothing is left of the job. To be taken once.
    pub(super) fn take_over(&mut self) -> Option<oneshot::Receiver<Infallible>> {
        self.over.take()
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.handle.let_go();
    }
}

//! What an invoker under test reports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rustwren_core::invoker::{Events, LogLine, ResultBatch};

/// Keeps what is reported, until it is closed.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    results: Vec<(u64, ResultBatch)>,
    started: Vec<u64>,
    waker: Option<Waker>,
    closed: bool,
}

impl Recorder {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn events(self: &Arc<Self>) -> Arc<dyn Events> {
        Arc::clone(self) as Arc<dyn Events>
    }

    /// The results so far. Whatever comes later breaks a promise.
    pub(super) fn close(&self) -> Vec<(u64, ResultBatch)> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.results)
    }

    /// Ready when this many invocations have begun.
    pub(super) fn poll_started(&self, count: usize, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.started.len() >= count {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Events for Recorder {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        let mut state = self.lock();
        assert!(!state.closed, "results of invocation {invocation} after its reply");
        state.results.push((invocation, batch));
    }

    fn started(&self, invocation: u64) {
        let mut state = self.lock();
        assert!(!state.closed, "invocation {invocation} starts after its reply");
        assert!(!state.started.contains(&invocation), "invocation {invocation} starts twice");
        state.started.push(invocation);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn log(&self, invocation: u64, _: LogLine) {
        assert!(!self.lock().closed, "invocation {invocation} writes after its reply");
    }
}

//! Signs of life of invocations that have nothing else to report.
//!
//! That a process has ended is seen at once. One that was stopped (SIGSTOP, or a frozen container) is not: it would
//! hold its invocations for ever. So those at processes that could run are told as alive now and then, and others fall
//! silent. A process that a debugger holds is alive: somebody is looking after it.

use std::time::Instant;

use crate::state::{State, Told};

impl State {
    /// Tells that what is at a process is alive, if it is time. Says when the next time is.
    pub(crate) fn beat(&mut self, index: usize, now: Instant) -> Option<Instant> {
        let next = now.checked_add(self.options.heartbeat?);
        let worker = &mut self.workers[index];
        if worker.pipeline.is_empty() {
            worker.beat_at = None;
            return None;
        }
        if let Some(at) = worker.beat_at
            && now < at
        {
            return Some(at);
        }
        let due = worker.beat_at.is_some();
        worker.beat_at = next;
        if !due {
            return next;
        }
        let stopped = worker.process.as_ref().is_some_and(crate::process::Process::is_stopped);
        let here = worker.pipeline.iter().filter(|_| !stopped);
        // What has come back from a process and waits for another is in good hands, too.
        for key in here.chain(&self.queue) {
            let call = self.pieces.get(*key).and_then(|piece| self.calls.get(piece.call?));
            if let Some(call) = call.filter(|call| call.told_started) {
                self.told.push(Told::Alive(call.events.clone(), call.invocation));
            }
        }
        next
    }
}

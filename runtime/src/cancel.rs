//! Calls that nobody waits for any more.

use std::time::{Duration, Instant};

use crate::state::{Kill, State, Status};

/// How long a process has to give back a call that it has not begun, before it is looked at again.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

impl State {
    /// The caller has gone away.
    pub(crate) fn cancel(&mut self, key: usize, now: Instant) {
        self.abandon(key);
        self.calls.try_remove(key);
        self.dispatch(now);
    }

    /// Ends what is left of a call without telling anybody.
    pub(crate) fn abandon(&mut self, key: usize) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let pieces = std::mem::take(&mut call.pieces);
        for piece in pieces.iter() {
            self.orphan(piece);
        }
    }

    fn orphan(&mut self, key: usize) {
        let Some(piece) = self.pieces.get_mut(key) else {
            return;
        };
        piece.call = None;
        piece.inputs = Vec::new();
        // Queued ones are dropped when their turn comes.
        let Some(index) = piece.worker else { return };
        let id = piece.id;
        let now = Instant::now();
        let worker = &mut self.workers[index];
        let Some(position) = worker.pipeline.iter().position(|&k| k == key) else {
            return;
        };
        if position >= worker.sent {
            self.unline(index, key, now);
            self.pieces.try_remove(key);
            return;
        }
        let inside = worker.page.as_ref().is_some_and(|page| page.call() == id);
        if inside || worker.pipeline.len() == 1 {
            self.end_process(index, Kill::Cancelled);
        } else {
            worker.ask_back.push(id);
            let at = now.checked_add(GRACE);
            worker.check_at = [worker.check_at, at].into_iter().flatten().min();
            worker.notify.notify_one();
        }
    }

    /// Has the driver end a process.
    pub(crate) fn end_process(&mut self, index: usize, why: Kill) {
        let worker = &mut self.workers[index];
        if worker.status == Status::Ready {
            worker.status = Status::Ending;
            worker.kill = Some(why);
            if let Some(process) = &mut worker.process {
                process.kill();
            }
            worker.notify.notify_one();
        }
    }
}

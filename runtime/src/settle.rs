//! How pieces and calls end: in order, given back, or with the death of their process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::invoker::{Reply, Stopped};
use rustwren_core::worker::Busy;

use crate::life;
use crate::rope::split_front;
use crate::state::{Call, Kill, Piece, State, Status, Told};

/// So many processes that die in a row without having finished anything end the calls that wait.
const MAX_BARREN: u32 = 3;

/// What is known of a process that has ended.
#[derive(Debug)]
pub(crate) struct Death {
    /// What it did, for the element that did it.
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    pub(crate) log_tail: String,
    /// The call it began last.
    pub(crate) call: u64,
    pub(crate) started: u32,
    pub(crate) busy: Vec<Busy>,
    pub(crate) parked: Vec<u32>,
    /// Why we ended it, if we did.
    pub(crate) kill: Option<Kill>,
}

impl State {
    /// Ends a call: its caller gets this.
    pub(crate) fn resolve(&mut self, key: usize, outcome: Result<Reply, BackendError>) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if call.outcome.is_none() {
            call.outcome = Some(outcome);
            if let Some(waker) = call.waker.take() {
                self.woken.push(waker);
            }
        }
    }

    /// Ends a call and all that is left of it, because it cannot be run.
    pub(crate) fn fail_call(&mut self, key: usize, error: BackendError) {
        self.resolve(key, Err(error));
        self.abandon(key);
    }

    /// A piece is over, and no longer at a process.
    pub(crate) fn drop_piece(&mut self, key: usize) -> Option<Piece> {
        let piece = self.pieces.try_remove(key)?;
        if let Some(call) = piece.call.and_then(|call| self.calls.get_mut(call)) {
            call.pieces.remove(key);
        }
        Some(piece)
    }

    /// A call may be over: if no piece of it is left.
    pub(crate) fn settle(&mut self, key: usize) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if !call.pieces.is_empty() || call.outcome.is_some() {
            return;
        }
        let stopped = (call.incomplete || !call.failed.is_empty() || !call.suspects.is_empty()).then(|| {
            Stopped { failed: std::mem::take(&mut call.failed), suspects: std::mem::take(&mut call.suspects) }
        });
        let reply = Reply { results: std::mem::take(&mut call.results), stopped, usage: call.usage };
        self.resolve(key, Ok(reply));
    }

    /// Passes on results of a call that goes on.
    pub(crate) fn tell_results(&mut self, key: usize) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        for batch in call.results.drain(..) {
            self.told.push(Told::Results(call.events.clone(), call.invocation, batch));
        }
    }

    /// Takes a piece out of its process's line. Whether it was there.
    pub(crate) fn unline(&mut self, index: usize, key: usize, now: Instant) -> bool {
        let worker = &mut self.workers[index];
        let Some(position) = worker.pipeline.iter().position(|&k| k == key) else {
            return false;
        };
        worker.pipeline.remove(position);
        if position < worker.sent {
            worker.sent -= 1;
        }
        if position == 0 {
            self.new_head(index, now);
        }
        true
    }

    /// Elements of a piece from `from` on come back from a process: they queue again, in as many parts as there
    /// are processes to take them.
    pub(crate) fn take_back(&mut self, key: usize, from: u32) -> Result<(), &'static str> {
        let Some(piece) = self.pieces.get_mut(key) else {
            return Ok(());
        };
        if from > piece.count {
            return Err("it gives back elements that it was not given");
        }
        if from < piece.seen.end() {
            return Err("it gives back elements that it has sent results of");
        }
        let rest = piece.count - from;
        piece.asked_back = false;
        piece.count = from;
        let (call, offset) = (piece.call, piece.offset + from);
        let Some(call) = call.filter(|_| rest > 0) else {
            return Ok(());
        };
        if let Some(call) = self.calls.get_mut(call).filter(|call| call.is_closed()) {
            call.incomplete = true;
            return Ok(());
        }
        let mut tail = std::mem::take(&mut piece.inputs);
        let Some(head) = split_front(&mut tail, from) else {
            self.fail_call(call, malformed());
            return Ok(());
        };
        piece.inputs = head;
        let idle = self.workers.iter().filter(|w| w.status == Status::Ready && w.pipeline.is_empty()).count();
        let parts = if from == 0 { 1 } else { (idle as u32 + 1).min(rest) };
        let mut made = Vec::new();
        let mut done = 0;
        for part in 0..parts {
            let end = (u64::from(rest) * u64::from(part + 1) / u64::from(parts)) as u32;
            let Some(inputs) = split_front(&mut tail, end - done) else {
                self.fail_call(call, malformed());
                return Ok(());
            };
            made.push(self.add_piece(call, offset + done, end - done, inputs));
            done = end;
        }
        for key in made.into_iter().rev() {
            self.queue.push_front(key);
        }
        Ok(())
    }

    /// A process has ended. Everything at it is settled or queues again.
    pub(crate) fn bury(&mut self, index: usize, death: &Death, now: Instant) {
        let worker = &mut self.workers[index];
        let since = worker.head_since;
        let barren = worker.finished == 0 && death.kill.is_none();
        worker.status = Status::Empty;
        let line: Vec<usize> = worker.pipeline.drain(..).collect();
        let sent = std::mem::take(&mut worker.sent);
        worker.ask_back.clear();
        worker.forget.clear();
        worker.known.clear();
        (worker.kill, worker.check_at, worker.cold, worker.page) = (None, None, None, None);
        worker.finished = 0;

        let running =
            line[..sent].iter().position(|&key| self.pieces.get(key).is_some_and(|p| p.id == death.call));
        for (position, &key) in line.iter().enumerate().rev() {
            // Calls run in the order in which they were sent: behind the one begun last, none has begun.
            if position >= sent || running.is_none_or(|running| position > running) {
                if let Some(piece) = self.pieces.get_mut(key) {
                    piece.worker = None;
                    piece.asked_back = false;
                    self.queue.push_front(key);
                    let call = piece.call;
                    if let Some(call) = call.filter(|&call| self.calls.get(call).is_some_and(Call::is_closed))
                    {
                        self.leave_undone(key, now);
                        self.settle(call);
                    }
                }
                continue;
            }
            let Some(piece) = self.drop_piece(key) else {
                continue;
            };
            let Some(call) = piece.call else { continue };
            if running == Some(position) {
                // What it did counts, although it did not come to say how long that took.
                let compute = now.saturating_duration_since(since);
                self.note_compute(call, u64::try_from(compute.as_nanos()).unwrap_or(u64::MAX));
                self.blame(call, &piece, death, since);
            }
            if let Some(call) = self.calls.get_mut(call) {
                call.incomplete = true;
            }
            self.settle(call);
        }

        // Blamed elements count as progress: their attempts come to an end.
        self.barren = if barren && running.is_none() { self.barren + 1 } else { 0 };
        if self.barren >= MAX_BARREN {
            self.barren = 0;
            let message = format!("function processes die before they run anything: {}", death.message);
            self.fail_waiting(|| BackendError::new(ErrorClass::WorkerCrashed, message.clone()));
        }
        self.dispatch(now);
    }

    /// Says which elements of the piece that was running killed its process.
    fn blame(&mut self, call: usize, piece: &Piece, death: &Death, since: Instant) {
        let options = Arc::clone(&self.options);
        let Some(call) = self.calls.get_mut(call) else {
            return;
        };
        let failure = |kind: FailureKind| TaskFailure {
            log_tail: death.log_tail.clone(),
            ..TaskFailure::new(kind, death.message.clone())
        };
        match death.kill {
            Some(Kill::Cancelled) => return,
            Some(Kill::EndOfLife) => return life::blame(call, piece, death, since, options.life_hint),
            Some(Kill::TimedOut { call: id, element, since, limit }) => {
                // Only if it was still the same element that then was ended.
                let same = death.busy.contains(&Busy { call: id, element, since });
                // The page is the process's to scribble on.
                if same && element < piece.count {
                    call.failed.push((piece.offset + element, failure(FailureKind::TimedOut(limit))));
                }
                return;
            }
            Some(Kill::Garbage(_)) | None => {}
        }
        let mut guilty: Vec<u32> = death.busy.iter().map(|busy| busy.element).collect();
        if guilty.is_empty() {
            guilty.extend(&death.parked);
        }
        guilty.retain(|&element| element < piece.count);
        match guilty[..] {
            [element] => call.failed.push((piece.offset + element, failure(death.kind.clone()))),
            // It died between elements: of something that the one before has left behind, if of any of them.
            [] => {
                let last = death.started.min(piece.count).checked_sub(1);
                if let Some(last) = last.filter(|&last| !piece.seen.contains(last)) {
                    call.suspects.push((piece.offset + last, failure(death.kind.clone())));
                }
            }
            _ => {
                guilty.retain(|&element| !piece.seen.contains(element));
                let named =
                    guilty.iter().map(|element| (piece.offset + element, failure(death.kind.clone())));
                call.suspects.extend(named);
            }
        }
    }

    /// Ends all calls that wait in the queue, unless a process is there that could take them.
    pub(crate) fn fail_waiting(&mut self, error: impl Fn() -> BackendError) {
        for key in std::mem::take(&mut self.queue) {
            let Some(piece) = self.drop_piece(key) else {
                continue;
            };
            if let Some(call) = piece.call {
                self.fail_call(call, error());
            }
        }
    }

    /// A process could not be started.
    pub(crate) fn start_failed(&mut self, index: usize, error: impl Fn() -> BackendError, now: Instant) {
        self.workers[index].status = Status::Empty;
        self.workers[index].page = None;
        let others = self.workers.iter().any(|w| matches!(w.status, Status::Ready | Status::Starting));
        if others {
            // What waits is for the others; a further process is tried with the next call.
            tracing::warn!("a further function process could not be started: {}", error());
        } else {
            self.fail_waiting(error);
            self.dispatch(now);
        }
    }

    /// Adds a finished piece's time to what is known of its process.
    pub(crate) fn note_pace(&mut self, index: usize, compute: u64) {
        let worker = &mut self.workers[index];
        worker.finished += 1;
        worker.pace = Some(match worker.pace {
            // Slower counts at once, faster bit by bit.
            Some(pace) if pace > compute => pace - (pace - compute) / 4,
            _ => compute,
        });
        self.barren = 0;
    }

    /// Adds a finished piece's time to its call.
    pub(crate) fn note_compute(&mut self, call: usize, compute: u64) {
        if let Some(call) = self.calls.get_mut(call) {
            call.usage.compute += Duration::from_nanos(compute);
        }
    }
}

fn malformed() -> BackendError {
    BackendError::new(ErrorClass::Internal, "the invocation's inputs are not as many records as it says")
}

//! Invocations that may last only so long: what is finished by then is handed back, and the rest is not begun.
//!
//! Nearing its end (by about what one element takes, so that little is begun in vain) an invocation is *closed*:
//! whatever has not been begun is taken back from the processes and stays undone. At the end, processes that still
//! run an element of it are killed. An element that was begun on the way is simply handed back; it comes first in
//! the next invocation and so has a whole life before it. One that has had a whole life is to blame; of several, each
//! is a suspect, as they may only have been in each other's way.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustwren_core::error::BackendError;
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::invoker::Reply;

use crate::balance::monotonic_nanos;
use crate::pool::Inner;
use crate::settle::Death;
use crate::state::{Call, Kill, Piece, State};

/// How long an invocation may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// As long as it takes.
    Unlimited,
    /// So long from when a process begins with it, however long it has waited for one.
    For(Duration),
    /// Until then: where a provider has said when it will end the container. Leave yourself the time to pass the
    /// reply on.
    Until(Instant),
}

/// Async elements at one process whose place tells that they were the first to begin.
const MOST_AT_ONCE: u32 = 1024;
/// The share of its life, as a divisor, within which an element that is begun counts as begun with it, and which is
/// kept for taking back what is not begun.
const FIRST_MOMENTS: u32 = 50;
/// That is no more than this.
const LONGEST_MOMENTS: Duration = Duration::from_millis(500);

/// The life of a call that has a limit.
#[derive(Debug)]
pub(crate) struct Lifetime {
    limit: Life,
    /// When its first piece came to a process.
    began: Option<Instant>,
    ends: Option<Instant>,
    /// Nothing of it is begun any more.
    closed: bool,
    /// It is cut short from outside: nobody has had all of it.
    cut_short: bool,
    /// Results so far.
    pub(crate) done: u32,
}

impl Lifetime {
    pub(crate) fn new(limit: Life) -> Option<Box<Self>> {
        let ends = match limit {
            Life::Unlimited => return None,
            Life::For(_) => None,
            Life::Until(ends) => Some(ends),
        };
        Some(Box::new(Self { limit, began: None, ends, closed: false, cut_short: false, done: 0 }))
    }

    /// A process begins with it.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began = Some(now);
        if let Life::For(limit) = self.limit
            && !self.cut_short
        {
            self.ends = now.checked_add(limit);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// When it ends, on the clock that function processes read; 0 if that is not known.
    pub(crate) fn end_nanos(&self, now: Instant) -> u64 {
        let left = self.ends.map(|ends| ends.saturating_duration_since(now));
        left.map_or(0, |left| monotonic_nanos().saturating_add(nanos(left)))
    }

    /// From the beginning to the end.
    fn whole(&self) -> Duration {
        let whole = self.began.zip(self.ends).map(|(began, ends)| ends.saturating_duration_since(began));
        whole.unwrap_or_default()
    }

    fn first_moments(&self) -> Duration {
        (self.whole() / FIRST_MOMENTS).min(LONGEST_MOMENTS)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sees a call with a limited life to its end.
pub(crate) async fn attend(inner: &Inner, key: usize) -> Result<Reply, BackendError> {
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    poll_fn(|cx| {
        loop {
            let (look, outcome) = inner.with(|state| {
                let look = state.look_after(key, Instant::now());
                (look, state.take_outcome(key, cx))
            });
            match (outcome, look) {
                (Some(outcome), _) => return Poll::Ready(outcome),
                (None, None) => return Poll::Pending,
                (None, Some(at)) => sleep.as_mut().reset(at.into()),
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

impl State {
    /// Closes or ends a call with a limited life, if it is time. Says when to look again; that may be never, or not
    /// before it begins.
    fn look_after(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let call = self.calls.get(key).filter(|call| call.outcome.is_none())?;
        let life = call.life.as_deref()?;
        let ends = life.ends?;
        if now >= ends {
            self.end_life(key, now);
            return None;
        }
        let Some(began) = life.began.filter(|_| !life.closed) else {
            return Some(ends);
        };
        // Before its half too little is known, and after its half there is no time for a second element as long as
        // one that is not over.
        let half = began + life.whole() / 2;
        if now < half {
            return Some(half);
        }
        let close = ends.checked_sub(self.margin(call, life, now)).unwrap_or(now);
        if now >= close {
            self.close(key, now);
            return Some(ends);
        }
        // What elements take may change on the way there.
        Some(close.max(now + Duration::from_millis(1)))
    }

    /// Has all calls come to their end, if the pool is to: what they have not begun stays undone.
    pub(crate) fn wind_down_all(&mut self, now: Instant) {
        let Some(until) = self.winding_down else { return };
        let open = self.calls.iter().filter(|(_, call)| call.outcome.is_none() && !call.is_closed());
        let keys: Vec<usize> = open.map(|(key, _)| key).collect();
        for key in keys {
            let Some(call) = self.calls.get_mut(key) else { continue };
            let life = call.life.take().or_else(|| Lifetime::new(Life::Until(until)));
            call.life = life.map(|mut life| {
                life.ends = Some(life.ends.map_or(until, |ends| ends.min(until)));
                life.cut_short = true;
                life
            });
            self.woken.extend(call.waker.take());
            self.close(key, now);
        }
    }

    /// How long before its end a call begins no more elements: somewhat more than what one has taken so far.
    fn margin(&self, call: &Call, life: &Lifetime, now: Instant) -> Duration {
        let at_process = |&piece: &usize| self.pieces.get(piece).is_some_and(|piece| piece.worker.is_some());
        let processes = call.pieces.iter().filter(at_process).count();
        let at_once = call.concurrency.max(1).saturating_mul(processes.max(1) as u32);
        let ran = life.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let each = ran.saturating_mul(at_once) / life.done.max(1);
        let half = life.whole() / 2;
        (each + each / 4).max(life.first_moments()).min(half)
    }

    /// Takes back what has not been begun of a call. It stays undone.
    fn close(&mut self, key: usize, now: Instant) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(life) = &mut call.life {
            life.closed = true;
        }
        let pieces: Vec<usize> = call.pieces.iter().collect();
        for key in pieces {
            let Some(piece) = self.pieces.get_mut(key) else { continue };
            let worker = piece.worker.map(|index| &mut self.workers[index]);
            match worker.filter(|worker| worker.pipeline.iter().take(worker.sent).any(|&sent| sent == key)) {
                None => self.leave_undone(key, now),
                Some(worker) => {
                    if !std::mem::replace(&mut piece.asked_back, true) {
                        worker.ask_back.push(piece.id);
                        worker.notify.notify_one();
                    }
                }
            }
        }
        self.settle(key);
    }

    /// A piece that no process has begun is not run any more.
    pub(crate) fn leave_undone(&mut self, key: usize, now: Instant) {
        let Some(piece) = self.pieces.get_mut(key) else { return };
        let (call, worker) = (piece.call.take(), piece.worker);
        piece.inputs = Vec::new();
        if let Some(call) = call.and_then(|call| self.calls.get_mut(call)) {
            call.pieces.remove(key);
            call.incomplete = true;
        }
        // Queued ones are dropped when their turn comes.
        if let Some(index) = worker {
            self.unline(index, key, now);
            self.pieces.try_remove(key);
        }
    }

    /// The end of a call's life: processes that still run an element of it are killed, and their burial ends the call.
    fn end_life(&mut self, key: usize, now: Instant) {
        self.close(key, now);
        let Some(call) = self.calls.get(key) else { return };
        let pieces: Vec<usize> = call.pieces.iter().collect();
        for key in pieces {
            let Some((piece, index)) = self.pieces.get(key).and_then(|piece| Some((piece, piece.worker?)))
            else {
                continue;
            };
            let worker = &self.workers[index];
            let inside = worker.page.as_ref().is_some_and(|page| page.call() == piece.id);
            if inside || worker.pipeline.front() == Some(&key) {
                self.end_process(index, Kill::EndOfLife);
            }
            // Behind something else it was not begun and comes back in a moment, or with the end of what is before it.
        }
    }
}

/// What an element is told that had a whole life and was not done.
fn too_long(life: &Lifetime, hint: &str, log_tail: &str) -> TaskFailure {
    let limit = match life.limit {
        Life::For(limit) => limit,
        _ => life.whole(),
    };
    let message = format!("by itself it takes longer than an invocation may last here: {hint}");
    TaskFailure { log_tail: log_tail.to_owned(), ..TaskFailure::new(FailureKind::TimedOut(limit), message) }
}

/// Says which elements of a piece, whose process was killed at the end of the call's life, have had all of that life.
/// The process had turned to the piece at `since`.
pub(crate) fn blame(call: &mut Call, piece: &Piece, death: &Death, since: Instant, hint: &str) {
    let Some(life) = call.life.as_deref().filter(|life| !life.cut_short) else { return };
    let first_moments = life.first_moments();
    // Cut off another piece and begun on the way.
    if life.began.is_none_or(|began| since.saturating_duration_since(began) > first_moments) {
        return;
    }
    let begun = monotonic_nanos().saturating_sub(nanos(since.elapsed()));
    let early = begun.saturating_add(nanos(first_moments));
    // Before the first is done, all that run are those that were begun first, whatever kept them from beginning.
    let none_done = piece.seen.is_empty();
    let first = |element: &u32| none_done || *element < call.concurrency.min(MOST_AT_ONCE);
    let in_threads = death.busy.iter().filter(|busy| !death.parked.contains(&busy.element));
    let mut guilty: Vec<u32> =
        in_threads.filter(|busy| none_done || busy.since <= early).map(|busy| busy.element).collect();
    guilty.extend(death.parked.iter().filter(|element| first(element)));
    // The page is the process's to scribble on. While it opens the job, the first element counts as begun, also if all
    // of them have been given back.
    guilty.retain(|&element| element < piece.count.max(1) && !piece.seen.contains(element));
    guilty.sort_unstable();
    guilty.dedup();
    let failure = too_long(life, hint, &death.log_tail);
    let named = guilty.iter().map(|element| (piece.offset + element, failure.clone()));
    if guilty.len() == 1 {
        call.failed.extend(named);
    } else {
        call.suspects.extend(named);
    }
}

//! Work that waits behind something long is fetched back for processes that have none, and elements that run for
//! too long are found.

use std::time::{Duration, Instant};

use rustwren_core::protocol::message::Run;

use crate::cancel::GRACE;
use crate::state::{Kill, State, Status};

/// A piece that runs for longer holds up those behind it.
const HELD_UP: Duration = Duration::from_micros(200);
/// A piece that has run for longer is cut, if enough of it is left.
const CUT_AFTER: Duration = Duration::from_millis(5);
/// Less than this is not worth cutting off.
const WORTH: Duration = Duration::from_millis(1);
/// How often a process without work looks for some.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// What an element may take beyond its limit, so that async ones are ended by their own process.
const TIMEOUT_GRACE: Duration = Duration::from_millis(20);

impl State {
    /// A process without work looks for some. Returns when it should look again.
    pub(crate) fn balance(&mut self, index: usize, now: Instant) -> Option<Instant> {
        let worker = &self.workers[index];
        if worker.status != Status::Ready || !worker.pipeline.is_empty() || !self.queue.is_empty() {
            return None;
        }
        if self.fetch_waiting(now) || self.cut_running(now) {
            return now.checked_add(LOOK_AGAIN);
        }
        None
    }

    /// Fetches back half of what waits at the process with the longest line. Whether any waits anywhere.
    fn fetch_waiting(&mut self, now: Instant) -> bool {
        let lines = self.workers.iter().enumerate().filter(|(_, w)| w.status == Status::Ready);
        let Some((index, worker)) = lines.max_by_key(|(_, w)| w.pipeline.len()) else {
            return false;
        };
        let waiting = worker.pipeline.len().saturating_sub(1);
        if waiting == 0 {
            return false;
        }
        if now.saturating_duration_since(worker.head_since) < HELD_UP {
            return true;
        }
        let keys: Vec<usize> = worker.pipeline.iter().copied().skip(1 + waiting / 2).collect();
        for key in keys {
            let Some(piece) = self.pieces.get_mut(key) else {
                continue;
            };
            let worker = &mut self.workers[index];
            if !piece.asked_back && piece.call.is_some() {
                piece.asked_back = true;
                worker.ask_back.push(piece.id);
                worker.notify.notify_one();
            }
        }
        true
    }

    /// Has the process with the most left to do in its running piece give the rest back. Whether there is one
    /// that might be asked, now or later.
    fn cut_running(&mut self, now: Instant) -> bool {
        let mut best: Option<(Duration, usize, usize)> = None;
        let mut later = false;
        for (index, worker) in self.workers.iter().enumerate() {
            let head = worker.pipeline.front().filter(|_| worker.status == Status::Ready);
            let Some((key, piece)) = head.and_then(|&key| Some((key, self.pieces.get(key)?))) else {
                continue;
            };
            if worker.sent == 0 {
                later |= piece.count > 1;
                continue;
            }
            let Some(page) = &worker.page else { continue };
            let started = if page.call() == piece.id { page.started() } else { 0 };
            let left = piece.count.saturating_sub(started);
            let whole = piece.call.and_then(|call| self.calls.get(call)).is_none_or(|call| call.whole);
            if left == 0 || piece.asked_back || whole {
                continue;
            }
            later = true;
            let ran = now.saturating_duration_since(worker.head_since);
            let expected = ran.saturating_mul(left) / started.max(1);
            if ran >= CUT_AFTER && expected >= WORTH && best.is_none_or(|(most, ..)| expected > most) {
                best = Some((expected, index, key));
            }
        }
        if let Some((_, index, key)) = best
            && let Some(piece) = self.pieces.get_mut(key)
        {
            piece.asked_back = true;
            self.workers[index].ask_back.push(piece.id);
            self.workers[index].notify.notify_one();
        }
        later
    }

    /// Ends a process that is inside an element for longer than allowed, or inside one that nobody waits for.
    pub(crate) fn check(&mut self, index: usize, now: Instant) {
        let worker = &self.workers[index];
        let Some(page) = worker.page.clone().filter(|_| worker.status == Status::Ready) else {
            return;
        };
        let limit_of = |piece: usize| {
            let call = self.pieces.get(piece)?.call.and_then(|call| self.calls.get(call))?;
            call.job.task_timeout
        };
        // If the process is between elements now, the next one has all its time before it.
        let mut next = worker.pipeline.iter().filter_map(|&key| limit_of(key)).min();
        let orphan = |&key: &usize| self.pieces.get(key).is_none_or(|piece| piece.call.is_none());
        if worker.pipeline.iter().any(orphan) {
            next = Some(next.map_or(GRACE, |next| next.min(GRACE)));
        }
        let mut verdict = None;
        let clock = monotonic_nanos();
        for busy in page.busy() {
            let Some(key) = self.piece_key(busy.call).filter(|key| worker.pipeline.contains(key)) else {
                continue;
            };
            if self.pieces.get(key).is_some_and(|piece| piece.call.is_none()) {
                verdict = Some(Kill::Cancelled);
                break;
            }
            let Some(limit) = limit_of(key) else { continue };
            let gone = Duration::from_nanos(clock.saturating_sub(busy.since));
            let end = limit.saturating_add(TIMEOUT_GRACE);
            let Some(left) = end.checked_sub(gone).filter(|left| !left.is_zero()) else {
                verdict =
                    Some(Kill::TimedOut { call: busy.call, element: busy.element, since: busy.since, limit });
                break;
            };
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        if verdict.is_none() && worker.pipeline.iter().all(orphan) {
            // Only what nobody waits for is left, and it has had time to be given back.
            verdict = (!worker.pipeline.is_empty()).then_some(Kill::Cancelled);
        }
        if let Some(why) = verdict {
            self.end_process(index, why);
            return;
        }
        self.workers[index].check_at =
            next.and_then(|next| now.checked_add(next.max(Duration::from_millis(1))));
    }

    /// What the process is to be told about a piece.
    pub(crate) fn run_of(&self, key: usize) -> Option<Run> {
        let piece = self.pieces.get(key)?;
        let call = self.calls.get(piece.call?)?;
        Some(Run {
            call: piece.id,
            job: call.key,
            first: call.first + u64::from(piece.offset),
            attempt: call.attempt,
            count: piece.count,
            concurrency: call.concurrency.max(1),
            inputs: bytes::Bytes::new(),
        })
    }
}

/// The clock that function processes write into their page.
pub(crate) fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

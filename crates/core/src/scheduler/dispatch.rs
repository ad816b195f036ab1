//! Chunks are cut and sent to whoever has room for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable};

use super::budget::Charge;
use super::flight::{Chunk, Flight};
use super::received::Received;
use super::run::{JobRun, internal};
use super::slots::Taken;
use super::travel;
use crate::error::Error;
use crate::invoker::{Invocation, Payload};

/// Largest adaptive chunk in bytes; larger ones do not make anything faster.
const CHUNK_BYTES: usize = 4 << 20;
/// Input bytes taken ahead of dispatch.
const BACKLOG_BYTES: usize = 8 << 20;

impl JobRun {
    /// Sends off as many chunks as may go.
    pub(super) fn dispatch(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut any = false;
        let limits = self.resources.invoker.limits();
        let (concurrency, pipelining, inline) =
            (limits.concurrency, limits.pipelining, limits.max_inline_input);
        let workers = self.options.workers.unwrap_or(usize::MAX).clamp(1, concurrency.max(1));
        let bytes = match self.options.chunk_size {
            // What is referred to does not come together here, but at the worker.
            Some(_) if self.options.passing.refers => BACKLOG_BYTES,
            Some(_) => usize::MAX,
            None => inline.min(CHUNK_BYTES),
        };
        let now = self.now;
        loop {
            if self.in_flight_bytes > self.options.input_buffer && !self.flights.is_empty() {
                self.share.rest();
                break;
            }
            let again = self.waiting.is_ready(now);
            let mut size = 0;
            if !again {
                if self.is_full() {
                    self.share.rest();
                    break;
                }
                size = self.fill_backlog(cx, workers)?;
                let waiting = self.backlog.elements();
                if waiting == 0 {
                    self.share.rest();
                    self.back_up(cx, workers)?;
                    break;
                }
                // More may come in a moment; meanwhile the workers have something to do, or the user has said
                // how many elements belong together.
                let enough = waiting >= u64::from(size) || self.backlog.bytes() >= bytes.min(BACKLOG_BYTES);
                let patient = self.options.chunk_size.is_some() || self.flights.len() >= workers;
                if !enough && !self.source_ended && patient {
                    self.share.rest();
                    break;
                }
            }
            // Something that is under way may make room, or the job is at its end.
            if !self.affords_one() && self.has_work() {
                self.share.rest();
                break;
            }
            // A job with fewer workers than there are must not find others for what waits behind them.
            let depth = if workers < concurrency { 0 } else { self.chunker.depth(pipelining) };
            match self.share.take(cx, now, workers, depth) {
                Taken::Yes => {}
                Taken::No => break,
                Taken::NotBefore(time) => {
                    self.wake_at(time);
                    break;
                }
            }
            let chunk = if let Some(chunk) = self.waiting.pop(now) {
                let most = self.within_budget(chunk.count, self.concurrency_of(&chunk), workers);
                Some(self.front(chunk, most.min(self.chunker.most()))?)
            } else {
                let size = self.within_budget(size, self.spec.concurrency, workers);
                self.backlog.cut(size, bytes).map_err(|error| internal(&error))?.map(|cut| Chunk {
                    first: cut.first,
                    count: cut.count,
                    attempt: 1,
                    inputs: cut.inputs,
                    alone: false,
                    fruitless: 0,
                })
            };
            match chunk.map(|chunk| self.without_finished(chunk)).transpose()?.flatten() {
                Some(chunk) => {
                    self.backups.look_again();
                    self.launch(chunk, inline, Vec::new());
                }
                None => self.share.give(false),
            }
            any = true;
        }
        // What is due already waits for a slot and not for time: a timer for it would ring at once, again and again.
        if let Some(time) = self.waiting.next_time().filter(|time| *time > self.now) {
            self.wake_at(time);
        }
        if let Some(time) = self.next_sweep {
            self.wake_at(time);
        }
        self.foresee_stored();
        if let Some(time) = self.backups.next_look().filter(|time| *time > now) {
            self.wake_at(time);
        }
        Ok(any)
    }

    /// Takes inputs until there are enough for the next chunk, and says how many that are.
    fn fill_backlog(&mut self, cx: &mut Context<'_>, workers: usize) -> Result<u32, Error> {
        loop {
            let remaining = if self.source_ended { Some(0) } else { self.source.remaining() };
            let size = self.chunker.next(remaining.map(|n| n + self.backlog.elements()), workers);
            if self.source_ended
                || self.backlog.elements() >= u64::from(size)
                || self.backlog.bytes() >= BACKLOG_BYTES
                || self.has_enough_known()
            {
                return Ok(size);
            }
            match self.source.poll_next(cx) {
                Poll::Ready(Some(block)) => {
                    self.take_in(block?)?;
                    while let Some(index) =
                        self.cancelled_early.first().copied().filter(|i| *i < self.backlog.end())
                    {
                        self.cancelled_early.remove(&index);
                        self.give_up(index);
                    }
                }
                Poll::Ready(None) => {
                    self.source_ended = true;
                    self.progress.total = Some(self.backlog.end());
                }
                Poll::Pending => return Ok(size),
            }
        }
    }

    /// Sends a chunk to a worker; its slot has been taken. `twins` have its elements already. Gives its id.
    pub(super) fn launch(&mut self, chunk: Chunk, inline: usize, twins: Vec<u64>) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let bytes = chunk.bytes();
        let concurrency = self.concurrency_of(&chunk);
        self.stats.invocations += 1;
        self.stats.input_bytes += bytes as u64;
        self.stats.largest_chunk = self.stats.largest_chunk.max(chunk.count);
        self.in_flight_bytes += bytes;
        if twins.is_empty() {
            self.progress.running += u64::from(chunk.count);
        }
        let invocation = Invocation {
            job: Arc::clone(&self.spec),
            id,
            first: chunk.first,
            count: chunk.count,
            attempt: chunk.attempt,
            concurrency,
            // Another worker would be one more than the job may have, or cost more than was reserved.
            whole: self.purse.limits_time()
                || self
                    .options
                    .workers
                    .is_some_and(|workers| workers < self.resources.invoker.limits().concurrency),
            passing: self.options.passing,
            inputs: Payload::Inline(chunk.inputs.clone()),
        };
        let reserved = self.worst(chunk.count, concurrency);
        self.purse.reserve(reserved);
        let (abort, registration) = AbortHandle::new_pair();
        let spilled = (bytes > inline).then(|| self.spill_key(id));
        let stores = invocation.passing.store_above.is_some();
        self.keep.outputs.stored |= stores;
        let signs = if stores || spilled.is_some() { self.give_signs() } else { None };
        let travel = travel::travel(
            Arc::clone(&self.resources.invoker),
            Arc::clone(&self.resources.storage),
            Arc::clone(&self.events_dyn),
            invocation,
            signs,
            spilled.clone(),
        );
        let travel = Abortable::new(travel, registration);
        self.running.push(Box::pin(async move { (id, travel.await) }));
        let depth = twins.iter().filter_map(|twin| self.flights.get(twin)).map(|twin| twin.depth + 1).max();
        let flight = Flight {
            id,
            abort,
            chunk,
            received: Received::default(),
            dispatched: self.now,
            bytes,
            spilled,
            started: None,
            heard: self.now,
            twins,
            backed_up: 0,
            depth: depth.unwrap_or_default(),
            expired: None,
            concurrency,
            reserved,
            useful: 0,
            wasted: Charge::default(),
        };
        self.watch(&flight.signs());
        self.flights.insert(id, flight);
        id
    }
}

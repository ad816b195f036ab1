//! What the scheduler makes of reports and replies: results are delivered, failures retried or final, the rest
//! goes back to the queue.

use std::time::Duration;

use bytes::Bytes;

use super::events::Event;
use super::flight::{Chunk, Flight};
use super::input::{slice, split};
use super::options::OnError;
use super::outbox::Delivery;
use super::retry::backoff;
use super::run::{JobRun, internal};
use crate::codec;
use crate::error::{BackendError, Error, ErrorClass, ErrorKind};
use crate::failure::{FailureKind, TaskError, TaskFailure};
use crate::invoker::{Reply, ResultBatch, Stopped};
use crate::protocol::records::{ResultTag, split_result};

impl JobRun {
    pub(super) fn on_event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Results(id, batch) => {
                let Some(mut flight) = self.flights.remove(&id) else {
                    // Of an invocation that was given up: whatever it brings has been or will be done elsewhere.
                    self.stats.duplicates += u64::from(batch.count);
                    return Ok(());
                };
                self.accept(&mut flight, &batch)?;
                self.flights.insert(id, flight);
            }
            Event::Started(id) => {
                if let Some(flight) = self.flights.get_mut(&id) {
                    flight.started = true;
                    if let Some(observer) = self.outbox.observer() {
                        observer.running(flight.chunk.first, flight.chunk.count);
                    }
                }
            }
            Event::Log(id, line) => {
                if let (Some(flight), Some(observer)) = (self.flights.get(&id), self.outbox.observer()) {
                    observer.log(flight.chunk.first, &line);
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_reply(
        &mut self,
        mut flight: Flight,
        reply: Result<Reply, BackendError>,
    ) -> Result<(), Error> {
        match reply {
            Ok(reply) => {
                self.share.give(true);
                self.stats.add_usage(&reply.usage);
                for batch in &reply.results {
                    self.accept(&mut flight, batch)?;
                }
                self.chunker.observe(flight.received.count(), reply.usage.compute);
                let blamed = match reply.stopped {
                    Some(stopped) => self.blame(&mut flight, stopped)?,
                    None => false,
                };
                let fruitful = blamed || flight.received.count() > 0;
                let fruitless = if fruitful { 0 } else { flight.chunk.fruitless + 1 };
                self.check_patience(fruitless, || "workers hand it back undone".to_owned())?;
                // Once can be by chance. A worker that does nothing but hand back would soon use up all patience.
                let at =
                    (fruitless > 1).then(|| self.resources.clock.now() + backoff(fruitless, &mut self.rng));
                self.requeue_rest(&flight, fruitless, at)
            }
            Err(error) => self.on_error(flight, error),
        }
    }

    fn on_error(&mut self, flight: Flight, error: BackendError) -> Result<(), Error> {
        let now = self.resources.clock.now();
        match error.class() {
            ErrorClass::Throttled { retry_after } => {
                self.stats.throttled += 1;
                self.share.throttled(now, flight.dispatched, retry_after);
                self.requeue_rest(&flight, flight.chunk.fruitless, None)
            }
            ErrorClass::Transient => {
                self.share.give(false);
                self.stats.transient += 1;
                let fruitless = if flight.received.count() > 0 { 0 } else { flight.chunk.fruitless + 1 };
                self.check_patience(fruitless, || error.to_string())?;
                let at = now + backoff(fruitless, &mut self.rng);
                self.requeue_rest(&flight, fruitless, Some(at))
            }
            ErrorClass::WorkerCrashed | ErrorClass::TimedOut => {
                self.share.give(false);
                self.stats.transient += 1;
                self.on_lost(flight, &error, now)
            }
            _ => {
                self.share.give(false);
                Err(error.into())
            }
        }
    }

    /// A worker that took the chunk is gone and nobody can say what it was doing. A lone element is charged an
    /// attempt; several are halved, so that one that kills its worker is soon alone.
    fn on_lost(&mut self, mut flight: Flight, error: &BackendError, now: Duration) -> Result<(), Error> {
        let gaps: Vec<(u32, u32)> = flight.received.gaps(0, flight.chunk.count).collect();
        if let [(k, end)] = gaps[..]
            && end - k == 1
        {
            flight.received.add(k, 1);
            self.progress.running -= 1;
            let failure = TaskFailure::new(FailureKind::Lost, error.to_string());
            return self.on_failure(&flight.chunk, k, failure);
        }
        // Halving comes to an end by itself: it costs no patience, and the innocent half need not wait long.
        let at = now + backoff(1, &mut self.rng);
        let fruitless = flight.chunk.fruitless;
        for (from, to) in gaps {
            let middle = from + (to - from) / 2;
            self.requeue(&flight.chunk, from, middle, fruitless, Some(at))?;
            self.requeue(&flight.chunk, middle, to, fruitless, Some(at))?;
        }
        Ok(())
    }

    /// The invocation was stopped from this side: its only element had been cancelled.
    pub(super) fn on_abort(&mut self, flight: &Flight) {
        self.share.give(false);
        let left: u32 = flight.received.gaps(0, flight.chunk.count).map(|(from, to)| to - from).sum();
        self.progress.running -= u64::from(left);
    }

    /// Takes results. Every element is delivered once: what is known already is dropped.
    fn accept(&mut self, flight: &mut Flight, batch: &ResultBatch) -> Result<(), Error> {
        let end =
            batch.offset.checked_add(batch.count).filter(|&end| end <= flight.chunk.count && batch.count > 0);
        let Some(end) = end else {
            return Err(internal(&"results for elements that were not asked for"));
        };
        self.stats.output_bytes += batch.records.len() as u64;
        let new = flight.received.add(batch.offset, batch.count);
        let fresh: u32 = new.iter().map(|(from, to)| to - from).sum();
        self.stats.duplicates += u64::from(batch.count - fresh);
        self.progress.running = self.progress.running.saturating_sub(u64::from(fresh));
        let is_new = |k: u32| new.iter().any(|&(from, to)| from <= k && k < to);
        // The start of the run of deliverable records that the scan is in: (element, byte).
        let mut run: Option<(u32, usize)> = None;
        let mut at = 0;
        for k in batch.offset..end {
            let (tag, body, len) = split_result(&batch.records[at..]).map_err(|e| internal(&e))?;
            let wanted = (fresh == batch.count || is_new(k))
                && (self.cancelled.is_empty()
                    || !self.cancelled.contains(&(flight.chunk.first + u64::from(k))));
            if wanted && tag == ResultTag::Output {
                run.get_or_insert((k, at));
            } else {
                self.deliver_run(flight, run.take(), k, &batch.records, at);
                if wanted {
                    let failure = match tag {
                        ResultTag::Failure => codec::decode(body).map_err(|e| internal(&e))?,
                        _ => return Err(internal(&"a stored result where an inline one was expected")),
                    };
                    self.on_failure(&flight.chunk, k, failure)?;
                }
            }
            at += len;
        }
        if at != batch.records.len() {
            return Err(internal(&"more result bytes than results"));
        }
        self.deliver_run(flight, run, end, &batch.records, at);
        Ok(())
    }

    fn deliver_run(
        &mut self,
        flight: &Flight,
        run: Option<(u32, usize)>,
        end: u32,
        records: &Bytes,
        to: usize,
    ) {
        let Some((from, start)) = run else { return };
        let count = end - from;
        self.progress.done += u64::from(count);
        let first = flight.chunk.first + u64::from(from);
        if flight.chunk.attempt > 1 {
            self.failures.remove(&first);
        }
        self.out.push(Delivery::Results { first, count, records: records.slice(start..to) });
    }

    /// Deals with the elements that a stopped worker blames or suspects. Says whether there were any.
    fn blame(&mut self, flight: &mut Flight, stopped: Stopped) -> Result<bool, Error> {
        let mut any = false;
        let in_chunk = flight.chunk.count;
        for (k, failure) in stopped.failed.into_iter().filter(|(k, _)| *k < in_chunk) {
            if !flight.received.add(k, 1).is_empty() {
                any = true;
                self.progress.running -= 1;
                self.on_failure(&flight.chunk, k, failure)?;
            }
        }
        let suspects: Vec<_> = stopped.suspects.into_iter().filter(|(k, _)| *k < in_chunk).collect();
        let convicted = suspects.len() == 1;
        for (k, failure) in suspects {
            if flight.received.add(k, 1).is_empty() {
                continue;
            }
            any = true;
            self.progress.running -= 1;
            if convicted {
                self.on_failure(&flight.chunk, k, failure)?;
            } else {
                self.stats.handed_back += 1;
                let chunk = self.cut(&flight.chunk, k, k + 1, 0)?;
                self.waiting.push(Chunk { alone: true, ..chunk });
            }
        }
        Ok(any)
    }

    /// An attempt at element `k` of a chunk failed: try again or give up.
    fn on_failure(&mut self, chunk: &Chunk, k: u32, failure: TaskFailure) -> Result<(), Error> {
        let index = chunk.first + u64::from(k);
        self.stats.failures += 1;
        if self.cancelled.contains(&index) {
            return Ok(());
        }
        let retries = self.options.retry.retries_after(&failure.kind);
        let user_error = failure.kind.is_user_error();
        let wait = matches!(failure.kind, FailureKind::Lost | FailureKind::OutOfMemory);
        let history = self.failures.entry(index).or_default();
        history.push(failure);
        let attempts = history.len() as u32;
        if attempts <= retries {
            self.stats.retries += 1;
            self.progress.retried += 1;
            let again = Chunk { attempt: attempts + 1, alone: !user_error, ..self.cut(chunk, k, k + 1, 0)? };
            if let Some(observer) = self.outbox.observer() {
                observer.waiting(index, 1);
            }
            if wait {
                let at = self.resources.clock.now() + backoff(attempts, &mut self.rng);
                self.waiting.push_later(again, at);
            } else {
                self.waiting.push(again);
            }
            return Ok(());
        }
        let attempts = self.failures.remove(&index).unwrap_or_default();
        let input_bytes = self.cut(chunk, k, k + 1, 0)?.bytes() as u64;
        let error = TaskError { index, job: self.spec.label.clone(), input_bytes, attempts };
        self.progress.failed += 1;
        match self.options.on_error {
            OnError::FailFast if !self.outbox.collects_errors() => {
                Err(Error::from_tasks(error.to_string(), vec![error]))
            }
            OnError::FailFast | OnError::Collect => {
                self.out.push(Delivery::Failed(error));
                Ok(())
            }
        }
    }

    /// Delivers a cancelled element's end.
    pub(super) fn give_up(&mut self, index: u64) {
        let mut attempts = self.failures.remove(&index).unwrap_or_default();
        attempts.push(TaskFailure::new(FailureKind::Cancelled, ""));
        self.progress.failed += 1;
        let job = self.spec.label.clone();
        self.out.push(Delivery::Failed(TaskError { index, job, input_bytes: 0, attempts }));
    }

    /// Puts all of a chunk that has not been dealt with back into the queue.
    fn requeue_rest(&mut self, flight: &Flight, fruitless: u32, at: Option<Duration>) -> Result<(), Error> {
        let gaps: Vec<(u32, u32)> = flight.received.gaps(0, flight.chunk.count).collect();
        for (from, to) in gaps {
            self.requeue(&flight.chunk, from, to, fruitless, at)?;
        }
        Ok(())
    }

    fn requeue(
        &mut self,
        chunk: &Chunk,
        from: u32,
        to: u32,
        fruitless: u32,
        at: Option<Duration>,
    ) -> Result<(), Error> {
        if from == to {
            return Ok(());
        }
        self.progress.running -= u64::from(to - from);
        self.stats.handed_back += u64::from(to - from);
        let part = self.cut(chunk, from, to, fruitless)?;
        if let Some(observer) = self.outbox.observer() {
            observer.waiting(part.first, part.count);
        }
        match at {
            Some(at) => self.waiting.push_later(part, at),
            None => self.waiting.push(part),
        }
        Ok(())
    }

    /// Elements `from..to` of a chunk as a chunk of their own.
    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    fn cut(&self, chunk: &Chunk, from: u32, to: u32, fruitless: u32) -> Result<Chunk, Error> {
        let inputs = slice(&chunk.inputs, from, to - from).map_err(|e| internal(&e))?;
        Ok(Chunk {
            first: chunk.first + u64::from(from),
            count: to - from,
            attempt: chunk.attempt,
            inputs,
            alone: chunk.alone,
            fruitless,
        })
    }

    /// The front of a chunk that came back, as much of it as one invocation can be expected to get done. The rest
    /// stays next in line.
    pub(super) fn for_one_life(&mut self, chunk: Chunk) -> Result<Chunk, Error> {
        let most = self.chunker.most();
        if chunk.count <= most {
            return Ok(chunk);
        }
        let (front, rest) = split(&chunk.inputs, most).map_err(|e| internal(&e))?;
        let first = chunk.first + u64::from(most);
        self.waiting.push_front(Chunk { first, count: chunk.count - most, inputs: rest, ..chunk });
        Ok(Chunk { count: most, inputs: front, ..chunk })
    }

    /// A chunk without its cancelled elements; what lies behind a cancelled one goes back to the queue.
    pub(super) fn without_cancelled(&mut self, chunk: Chunk) -> Result<Option<Chunk>, Error> {
        if self.cancelled.is_empty() {
            return Ok(Some(chunk));
        }
        let is_cancelled = |k: &u32| self.cancelled.contains(&(chunk.first + u64::from(*k)));
        let Some(start) = (0..chunk.count).find(|k| !is_cancelled(k)) else {
            return Ok(None);
        };
        let end = (start..chunk.count).find(is_cancelled).unwrap_or(chunk.count);
        if end < chunk.count {
            let rest = self.cut(&chunk, end, chunk.count, chunk.fruitless)?;
            self.waiting.push(rest);
        }
        self.cut(&chunk, start, end, chunk.fruitless).map(Some)
    }

    fn check_patience(&self, fruitless: u32, why: impl FnOnce() -> String) -> Result<(), Error> {
        if fruitless <= self.options.patience {
            return Ok(());
        }
        let message = format!(
            "job {}: {fruitless} invocations in a row of the same elements brought nothing: {}",
            self.spec.label,
            why()
        );
        Err(Error::new(ErrorKind::Unavailable, message)
            .with_hint("`rustwren doctor` tries each leg of the way by itself"))
    }
}

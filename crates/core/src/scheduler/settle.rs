//! What the scheduler makes of reports and replies: results are delivered, failures retried or final, the rest
//! goes back to the queue.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::capsules::Failed;
use super::events::Event;
use super::flight::{Chunk, Flight};
use super::given_up::Past;
use super::input::{slice, split};
use super::options::OnError;
use super::outbox::Delivery;
use super::retry::backoff;
use super::run::{JobRun, internal};
use crate::error::{BackendError, Error, ErrorClass, ErrorKind};
use crate::failure::{FailureKind, TaskError, TaskFailure};
use crate::invoker::{Reply, Stopped};
use crate::protocol::records::split_input;
use crate::protocol::references::Referred;

impl JobRun {
    pub(super) fn on_event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Results(id, batch) => {
                let Some(mut flight) = self.flights.remove(&id) else {
                    return self.accept_late(id, &batch);
                };
                flight.heard = self.now;
                let accepted = self.accept(&mut flight, &batch);
                self.flights.insert(id, flight);
                accepted?;
            }
            Event::Started(id) => self.on_started(id),
            Event::Alive(id) => {
                if let Some(flight) = self.flights.get_mut(&id) {
                    flight.heard = self.now;
                }
            }
            Event::Log(id, line) => {
                if let Some(flight) = self.flights.get_mut(&id) {
                    flight.heard = self.now;
                    if let Some(observer) = self.outbox.observer() {
                        observer.log(flight.chunk.first, &line);
                    }
                }
            }
        }
        Ok(())
    }

    fn on_started(&mut self, id: u64) {
        let now = self.now;
        let Some(flight) = self.flights.get_mut(&id) else {
            // Given up too early: the next ones get more time.
            if let Some(past) = self.given_up.get(id) {
                self.leases.observe_begin(now.saturating_sub(past.dispatched));
            }
            return;
        };
        flight.heard = now;
        if flight.started.replace(now).is_some() {
            return;
        }
        self.share.started();
        if let Some(observer) = self.outbox.observer() {
            observer.running(flight.chunk.first, flight.chunk.count);
        }
        self.leases.observe_begin(now.saturating_sub(flight.dispatched));
        let signs = flight.signs();
        self.watch(&signs);
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
                self.leases.observe_start(reply.usage.start);
                for batch in &reply.results {
                    self.accept(&mut flight, batch)?;
                }
                self.chunker.observe(flight.received.count(), reply.usage.compute);
                if flight.received.count() == flight.chunk.count {
                    self.backups.observe(&flight, self.now);
                }
                let blamed = match reply.stopped {
                    Some(stopped) => self.blame(&mut flight, stopped)?,
                    None => false,
                };
                self.charge(&mut flight, reply.usage.worker_time());
                let fruitful = blamed || flight.received.count() > 0;
                let fruitless = if fruitful { 0 } else { flight.chunk.fruitless + 1 };
                self.check_patience(fruitless, || "workers hand it back undone".to_owned())?;
                // Once can be by chance. A worker that does nothing but hand back would soon use up all patience.
                let at = (fruitless > 1).then(|| self.now + backoff(fruitless, &mut self.rng));
                self.requeue_rest(&flight, fruitless, at)
            }
            Err(error) => self.on_error(flight, error),
        }
    }

    fn on_error(&mut self, mut flight: Flight, error: BackendError) -> Result<(), Error> {
        match error.class() {
            ErrorClass::Throttled { retry_after } => {
                self.stats.throttled += 1;
                self.share.throttled(self.now, flight.dispatched, retry_after);
                self.requeue_rest(&flight, flight.chunk.fruitless, None)
            }
            ErrorClass::Transient => {
                self.stats.transient += 1;
                self.charge_unknown(&mut flight);
                self.no_more_backups(&flight.twins);
                self.on_passing_trouble(&flight, &error)
            }
            ErrorClass::WorkerCrashed | ErrorClass::TimedOut => {
                self.stats.transient += 1;
                self.charge_unknown(&mut flight);
                self.no_more_backups(&flight.twins);
                self.on_lost(flight, &error)
            }
            _ => {
                self.share.give(false);
                Err(error.into())
            }
        }
    }

    /// Nothing is wrong with the elements: they are tried again after a while, at no attempt's cost.
    pub(super) fn on_passing_trouble(&mut self, flight: &Flight, error: &BackendError) -> Result<(), Error> {
        self.share.give(false);
        let fruitless = if flight.received.count() > 0 { 0 } else { flight.chunk.fruitless + 1 };
        self.check_patience(fruitless, || error.to_string())?;
        let at = self.now + backoff(fruitless, &mut self.rng);
        self.requeue_rest(flight, fruitless, Some(at))
    }

    /// A worker that took the chunk is gone and nobody can say what it was doing. A lone element is charged an
    /// attempt; several are halved, so that one that kills its worker is soon alone.
    pub(super) fn on_lost(&mut self, mut flight: Flight, error: &BackendError) -> Result<(), Error> {
        self.share.give(false);
        self.remember(&flight);
        // Who was with it counts, whether or not the others have been finished elsewhere since.
        let mut held = flight.received.gaps(0, flight.chunk.count);
        if let (Some((k, end)), None) = (held.next(), held.next())
            && end - k == 1
        {
            drop(held);
            flight.received.add(k, 1);
            let failure = TaskFailure::new(FailureKind::Lost, error.to_string());
            return self.on_failure(&flight, k, failure);
        }
        // Halving comes to an end by itself: it costs no patience, and the innocent half need not wait long.
        let at = self.now + backoff(1, &mut self.rng);
        let fruitless = flight.chunk.fruitless;
        drop(held);
        for (from, to) in self.orphans(&flight) {
            let middle = from + (to - from) / 2;
            self.requeue(&flight, from..middle, fruitless, Some(at))?;
            self.requeue(&flight, middle..to, fruitless, Some(at))?;
        }
        Ok(())
    }

    /// The invocation was stopped from this side: it was given up, or all its elements were finished elsewhere or
    /// cancelled.
    pub(super) fn on_abort(&mut self, mut flight: Flight) -> Result<(), Error> {
        self.charge_unknown(&mut flight);
        if let Some(why) = flight.expired {
            return self.on_expired(flight, why);
        }
        self.share.give(false);
        Ok(())
    }

    /// What an invocation that is over may still report is to be taken.
    fn remember(&mut self, flight: &Flight) {
        let Chunk { first, count, .. } = flight.chunk;
        let left = count - flight.received.count();
        let past = Past { first, count, dispatched: flight.dispatched, left, wasted: flight.wasted };
        self.given_up.add(flight.id, past);
    }

    /// Deals with the elements that a stopped worker blames or suspects. Says whether there were any.
    fn blame(&mut self, flight: &mut Flight, stopped: Stopped) -> Result<bool, Error> {
        let mut any = false;
        let in_chunk = flight.chunk.count;
        for (k, failure) in stopped.failed.into_iter().filter(|(k, _)| *k < in_chunk) {
            if !flight.received.add(k, 1).is_empty() {
                any = true;
                self.on_failure(flight, k, failure)?;
            }
        }
        let suspects: Vec<_> = stopped.suspects.into_iter().filter(|(k, _)| *k < in_chunk).collect();
        let convicted = suspects.len() == 1;
        for (k, failure) in suspects {
            if flight.received.add(k, 1).is_empty() {
                continue;
            }
            any = true;
            if convicted {
                self.on_failure(flight, k, failure)?;
                continue;
            }
            let index = flight.chunk.first + u64::from(k);
            if !self.done.contains(index) && !self.is_held_by(&flight.twins, index) {
                self.progress.running -= 1;
                self.stats.handed_back += 1;
                for (from, to, attempt) in self.by_attempt(&flight.chunk, k, k + 1) {
                    let chunk = self.cut(&flight.chunk, from, to, 0)?;
                    self.waiting.push(Chunk { alone: true, attempt, ..chunk });
                }
            }
        }
        Ok(any)
    }

    /// An attempt at element `k` of a flight failed: try again or give up.
    pub(super) fn on_failure(&mut self, flight: &Flight, k: u32, failure: TaskFailure) -> Result<(), Error> {
        let chunk = &flight.chunk;
        let index = chunk.first + u64::from(k);
        self.stats.failures += 1;
        if self.done.contains(index) {
            return Ok(());
        }
        let held = self.is_held_by(&flight.twins, index);
        let retries = self.options.retry.retries_after(&failure.kind);
        let user_error = failure.kind.is_user_error();
        let wait = matches!(failure.kind, FailureKind::Lost | FailureKind::OutOfMemory);
        let history = self.failures.entry(index).or_default();
        // Twins make one attempt between them: what fails with both is charged once.
        if history.len() < chunk.attempt as usize {
            history.push(failure);
        }
        let attempts = history.len() as u32;
        if attempts <= retries && held {
            // It is being tried again already.
            return Ok(());
        }
        self.progress.running -= 1;
        if attempts <= retries {
            self.stats.retries += 1;
            self.progress.retried += 1;
            let again = Chunk { attempt: attempts + 1, alone: !user_error, ..self.cut(chunk, k, k + 1, 0)? };
            if let Some(observer) = self.outbox.observer() {
                observer.waiting(index, 1);
            }
            if wait {
                let at = self.now + backoff(attempts, &mut self.rng);
                self.waiting.push_later(again, at);
            } else {
                self.waiting.push(again);
            }
            return Ok(());
        }
        self.done.add(index, index + 1);
        self.stop_idle(&flight.twins);
        let attempts = self.failures.remove(&index).unwrap_or_default();
        let input = Bytes::from(self.cut(chunk, k, k + 1, 0)?.inputs.concat());
        let (body, _) = split_input(&input).map_err(|e| internal(&e))?;
        let input_bytes =
            if self.options.passing.refers { Referred::len_of(body) } else { input.len() as u64 };
        let job = self.spec.label.clone();
        let error = TaskError { index, job, input_bytes, attempts, repro: None };
        self.progress.failed += 1;
        let input = input.slice_ref(body);
        match self.options.on_error {
            OnError::FailFast if !self.outbox.collects_errors() => {
                self.keep.fatal = Some(Failed { error: error.clone(), input });
                Err(Error::from_task(error))
            }
            OnError::FailFast | OnError::Collect => {
                self.tell_failed(error, input);
                Ok(())
            }
        }
    }

    /// Delivers a cancelled element's end.
    pub(super) fn give_up(&mut self, index: u64) {
        let mut attempts = self.failures.remove(&index).unwrap_or_default();
        attempts.push(TaskFailure::new(FailureKind::Cancelled, ""));
        self.finish_elsewhere(index, index + 1);
        self.progress.failed += 1;
        let job = self.spec.label.clone();
        self.out.push(Delivery::Failed(TaskError { index, job, input_bytes: 0, attempts, repro: None }));
    }

    /// Puts all of a chunk that has not been dealt with back into the queue.
    fn requeue_rest(&mut self, flight: &Flight, fruitless: u32, at: Option<Duration>) -> Result<(), Error> {
        let gaps = self.orphans(flight);
        if !gaps.is_empty() {
            self.remember(flight);
        }
        for (from, to) in gaps {
            self.requeue(flight, from..to, fruitless, at)?;
        }
        Ok(())
    }

    pub(super) fn requeue(
        &mut self,
        flight: &Flight,
        elements: Range<u32>,
        fruitless: u32,
        at: Option<Duration>,
    ) -> Result<(), Error> {
        let Range { start, end } = elements;
        if start == end {
            return Ok(());
        }
        self.progress.running -= u64::from(end - start);
        self.stats.handed_back += u64::from(end - start);
        if let Some(observer) = self.outbox.observer() {
            observer.waiting(flight.chunk.first + u64::from(start), end - start);
        }
        let runs = if flight.twins.is_empty() {
            vec![(start, end, flight.chunk.attempt)]
        } else {
            self.by_attempt(&flight.chunk, start, end)
        };
        for (from, to, attempt) in runs {
            let part = self.cut(&flight.chunk, from, to, fruitless)?;
            let part = Chunk { attempt, alone: part.alone || attempt > part.attempt, ..part };
            match at {
                Some(at) => self.waiting.push_later(part, at),
                None => self.waiting.push(part),
            }
        }
        Ok(())
    }

    /// Elements `from..to` of a chunk as a chunk of their own.
    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    pub(super) fn cut(&self, chunk: &Chunk, from: u32, to: u32, fruitless: u32) -> Result<Chunk, Error> {
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

    /// The first elements of a chunk that came back, if it has more than so many. The rest stays next in line.
    pub(super) fn front(&mut self, chunk: Chunk, most: u32) -> Result<Chunk, Error> {
        if chunk.count <= most {
            return Ok(chunk);
        }
        let (front, rest) = split(&chunk.inputs, most).map_err(|e| internal(&e))?;
        let first = chunk.first + u64::from(most);
        self.waiting.push_front(Chunk { first, count: chunk.count - most, inputs: rest, ..chunk });
        Ok(Chunk { count: most, inputs: front, ..chunk })
    }

    /// How many of its elements a worker works on at once.
    pub(super) fn concurrency_of(&self, chunk: &Chunk) -> u32 {
        if chunk.alone { 1 } else { self.spec.concurrency }
    }

    /// A chunk without its finished elements; what lies behind a finished one goes back to the queue.
    pub(super) fn without_finished(&mut self, chunk: Chunk) -> Result<Option<Chunk>, Error> {
        if self.done.is_clear(chunk.first, chunk.end()) {
            return Ok(Some(chunk));
        }
        let Some((start, end)) = self.done.missing(chunk.first, chunk.end()).next() else { return Ok(None) };
        let (start, end) = ((start - chunk.first) as u32, (end - chunk.first) as u32);
        if end < chunk.count {
            let rest = self.cut(&chunk, end, chunk.count, chunk.fruitless)?;
            self.waiting.push(rest);
        }
        self.cut(&chunk, start, end, chunk.fruitless).map(Some)
    }

    pub(super) fn check_patience(&self, fruitless: u32, why: impl FnOnce() -> String) -> Result<(), Error> {
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

//! [`SimInvoker`]: a provider that exists in simulated time only.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustwren_core::clock::Clock;
use rustwren_core::codec;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::failure::FailureKind;
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Payload, Reply, Usage};
use rustwren_core::storage::{Key, Storage};

use super::clock::{SimClock, lock};
use super::course::{Course, End, Finished, batches, course, inputs};
use super::executor::Spawner;
use super::ledger::Ledger;
use super::provider::Provider;
use super::work::Work;

/// An invoker whose workers are made up: it draws from its seed when they start, how long they take and what goes
/// wrong, and keeps a [`Ledger`] of what the scheduler does.
#[derive(Debug)]
pub struct SimInvoker {
    world: Arc<World>,
    limits: Limits,
}

struct World {
    provider: Provider,
    work: Box<dyn Work>,
    clock: SimClock,
    spawner: Spawner,
    storage: Arc<dyn Storage>,
    ledger: Arc<Mutex<Ledger>>,
    state: Mutex<State>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("provider", &self.provider).finish_non_exhaustive()
    }
}

struct State {
    rng: fastrand::Rng,
    workers: Vec<Worker>,
    accepted: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Worker {
    free_at: Duration,
    warm: bool,
}

impl SimInvoker {
    /// A provider as described, all of whose chances are drawn from `seed`.
    pub fn new(
        provider: Provider,
        work: impl Work,
        clock: SimClock,
        spawner: Spawner,
        storage: Arc<dyn Storage>,
        seed: u64,
        trace: bool,
    ) -> Self {
        let mut limits = Limits::unlimited(provider.concurrency);
        limits.pipelining = provider.pipelining;
        limits.overhead = provider.latency * 2;
        limits.max_inline_input = provider.max_inline_input;
        limits.max_inline_output = provider.max_inline_output;
        let state = State {
            rng: fastrand::Rng::with_seed(seed),
            workers: vec![Worker::default(); provider.concurrency.max(1)],
            accepted: 0,
        };
        let ledger = Arc::new(Mutex::new(Ledger::new(&limits, trace)));
        let work = Box::new(work);
        let world = World { provider, work, clock, spawner, storage, ledger, state: Mutex::new(state) };
        Self { world: Arc::new(world), limits }
    }

    /// The book that this provider keeps.
    pub fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.world.ledger)
    }
}

fn broken(message: String) -> BackendError {
    BackendError::new(ErrorClass::Internal, message)
}

/// A worker's time set aside for an invocation.
#[derive(Debug, Clone, Copy)]
struct Seat {
    worker: usize,
    begins: Duration,
    ends: Duration,
}

/// One invocation under way. Dropping it gives it up.
struct Visit {
    world: Arc<World>,
    invocation: Invocation,
    number: u64,
    running: bool,
    accepted: bool,
    seat: Option<Seat>,
    over: bool,
    events: Arc<dyn Events>,
    /// Elements with a reported result.
    reported: Vec<u32>,
    /// What may be reported too late.
    late: Vec<Finished>,
}

impl Visit {
    fn new(world: &Arc<World>, invocation: Invocation, events: &Arc<dyn Events>) -> Self {
        let number = lock(&world.ledger).dispatched(&invocation, world.clock.now());
        let (world, events) = (Arc::clone(world), Arc::clone(events));
        let (reported, late) = (Vec::new(), Vec::new());
        Self {
            world,
            invocation,
            number,
            running: false,
            accepted: false,
            seat: None,
            over: false,
            events,
            reported,
            late,
        }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        let number = self.number;
        lock(&self.world.ledger).note(self.world.clock.now(), || format!("#{number} {}", what()));
    }

    /// Writes results into the book that the scheduler is told now.
    fn report(&mut self, finished: &[Finished]) {
        let now = self.world.clock.now();
        let job = &self.invocation.job.id;
        let mut ledger = lock(&self.world.ledger);
        for one in finished {
            if self.reported.contains(&one.offset) {
                continue;
            }
            self.reported.push(one.offset);
            let index = self.invocation.first + u64::from(one.offset);
            match &one.record {
                Ok(output) => ledger.done(job, index, output.len(), now),
                Err(failure) => ledger.charge(job, index, failure.kind.clone()),
            }
        }
    }

    /// Reports an element as blamed, unless it has a result already.
    fn blame(&mut self, offset: u32, kind: &FailureKind) {
        if !self.reported.contains(&offset) {
            self.reported.push(offset);
            let index = self.invocation.first + u64::from(offset);
            lock(&self.world.ledger).charge(&self.invocation.job.id, index, kind.clone());
        }
    }

    fn fruitless(&self, fruitless: bool) {
        lock(&self.world.ledger).fruitless(&self.invocation, fruitless);
    }

    /// Takes the worker that is free first, for a course of this length. How long it will queue and start.
    fn seat(&mut self, course: &Course) -> (Duration, Duration) {
        let now = self.world.clock.now();
        let workers = &mut lock(&self.world.state).workers;
        let first = workers.iter().enumerate().min_by_key(|(index, worker)| (worker.free_at, *index));
        let index = first.map_or(0, |(index, _)| index);
        let worker = &mut workers[index];
        let begins = worker.free_at.max(now);
        let start = if worker.warm { Duration::ZERO } else { self.world.provider.cold_start };
        let busy = if matches!(course.end, End::Never) { Duration::MAX } else { start + course.compute };
        *worker = Worker { free_at: begins.saturating_add(busy), warm: !course.died };
        self.seat = Some(Seat { worker: index, begins, ends: worker.free_at });
        (begins - now, start)
    }

    fn begin(&mut self) {
        if let Some(Seat { ends, .. }) = self.seat {
            self.running = true;
            lock(&self.world.ledger).started(&self.invocation.job.id, self.world.clock.now(), ends);
        }
    }

    fn end(&mut self) {
        if let (true, Some(Seat { ends, .. })) = (std::mem::take(&mut self.running), self.seat) {
            lock(&self.world.ledger).stopped(&self.invocation.job.id, ends);
        }
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.end();
        lock(&self.world.ledger).ended(self.number, &self.invocation);
        let mut state = lock(&self.world.state);
        state.accepted -= usize::from(self.accepted);
        if let Some(Seat { worker, begins, ends }) = self.seat {
            let now = self.world.clock.now();
            let worker = &mut state.workers[worker];
            // Given up early, and no one waits behind it.
            if worker.free_at == ends && ends > now {
                *worker = Worker { free_at: begins.max(now), warm: false };
            }
        }
    }

    /// Results of an invocation that is over may still be on their way.
    fn haunt(&mut self) {
        let late = std::mem::take(&mut self.late);
        let mut state = lock(&self.world.state);
        if late.is_empty() || state.rng.f64() >= self.world.provider.ghosts {
            return;
        }
        let wait = Duration::from_millis(state.rng.u64(0..2_000));
        drop(state);
        let Ok(batches) = batches(&late, |_| None) else {
            return;
        };
        let (clock, events, id) = (self.world.clock.clone(), Arc::clone(&self.events), self.invocation.id);
        self.world.spawner.spawn("late results", async move {
            clock.sleep(wait).await;
            batches.into_iter().for_each(|batch| events.results(id, batch));
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.over {
            self.note(|| "given up".to_owned());
            self.leave();
            self.haunt();
        }
    }
}

impl World {
    fn refuses(&self, visit: &mut Visit) -> Option<BackendError> {
        let mut state = lock(&self.state);
        let p = &self.provider;
        if state.accepted >= p.capacity.max(1) || state.rng.f64() < p.throttle {
            let class = ErrorClass::Throttled { retry_after: p.retry_after };
            return Some(BackendError::new(class, "simulated: too many requests"));
        }
        if state.rng.f64() < p.transient {
            return Some(BackendError::new(ErrorClass::Transient, "simulated: internal server error"));
        }
        state.accepted += 1;
        visit.accepted = true;
        None
    }

    async fn load(&self, invocation: &Invocation) -> Result<Bytes, BackendError> {
        match &invocation.inputs {
            Payload::Inline(parts)
                if parts.iter().map(Bytes::len).sum::<usize>() > self.provider.max_inline_input =>
            {
                Err(broken("more inline input than the provider takes".to_owned()))
            }
            Payload::Inline(parts) => Ok(Bytes::from(parts.concat())),
            Payload::Stored { key, offset, len } => {
                self.storage.get_range(&Key::new(key.as_str())?, *offset..offset + len).await
            }
        }
    }

    /// Streams what is to be streamed, then waits for the end.
    async fn run(&self, visit: &mut Visit, course: &Course) -> Result<(), BackendError> {
        let mut at = Duration::ZERO;
        for (time, finished) in &course.streamed {
            self.clock.sleep(time.saturating_sub(at)).await;
            at = at.max(*time);
            visit.report(finished);
            for batch in batches(finished, |_| None).map_err(broken)? {
                visit.note(|| format!("streams {}+{}", batch.offset, batch.count));
                visit.events.results(visit.invocation.id, batch);
            }
        }
        self.clock.sleep(course.compute.saturating_sub(at)).await;
        Ok(())
    }

    async fn reply(&self, visit: &mut Visit, course: Course, usage: Usage) -> Result<Reply, BackendError> {
        let End::Reply(stopped) = course.end else {
            return Err(broken("no reply".to_owned()));
        };
        let mut stored = Vec::new();
        let prefix = format!("jobs/{}/out/{}", visit.invocation.job.id, visit.number);
        let results = batches(&course.kept, |output| {
            let key = (output.len() > self.provider.max_inline_output)
                .then(|| format!("{prefix}-{}", stored.len()))?;
            stored.push((key.clone(), Bytes::copy_from_slice(output)));
            codec::to_vec(&Payload::Stored { key, offset: 0, len: output.len() as u64 }).ok()
        });
        for (key, bytes) in stored {
            self.storage.put(&Key::new(key)?, bytes).await?;
        }
        visit.report(&course.kept);
        if let Some(stopped) = &stopped {
            for (offset, failure) in &stopped.failed {
                visit.blame(*offset, &failure.kind);
            }
            // One suspect is guilty; several are not charged, but they are dealt with.
            match &stopped.suspects[..] {
                [(offset, failure)] => visit.blame(*offset, &failure.kind),
                several => visit.reported.extend(several.iter().map(|(offset, _)| *offset)),
            }
        }
        visit.fruitless(visit.reported.is_empty());
        visit.note(|| format!("replies with {} results, {stopped:?}", course.kept.len()));
        Ok(Reply { results: results.map_err(broken)?, stopped, usage })
    }

    /// The worker is gone: a lone element without a result is to blame.
    fn lost(&self, visit: &mut Visit) -> BackendError {
        let missing: Vec<u32> = (0..visit.invocation.count).filter(|k| !visit.reported.contains(k)).collect();
        if let [only] = missing[..] {
            visit.blame(only, &FailureKind::Lost);
            visit.fruitless(false);
        }
        visit.note(|| format!("lost with {} unfinished", missing.len()));
        let class =
            if lock(&self.state).rng.bool() { ErrorClass::WorkerCrashed } else { ErrorClass::TimedOut };
        BackendError::new(class, "simulated: the worker does not answer")
    }
}

#[async_trait]
impl Invoker for SimInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let world = &self.world;
        let mut visit = Visit::new(world, invocation, events);
        let latency = world.provider.latency;
        world.clock.sleep(latency).await;
        if let Some(error) = world.refuses(&mut visit) {
            if error.class() == ErrorClass::Transient {
                visit.fruitless(true);
            }
            visit.note(|| error.to_string());
            visit.leave();
            return Err(error);
        }
        let records = world.load(&visit.invocation).await?;
        let course = {
            let bodies = inputs(&records, visit.invocation.count).map_err(broken)?;
            course(&world.provider, &*world.work, &visit.invocation, &bodies, &mut lock(&world.state).rng)
        };
        let (queued, start) = visit.seat(&course);
        world.clock.sleep(queued).await;
        visit.begin();
        world.clock.sleep(start).await;
        visit.note(|| format!("runs for {:?}", course.compute));
        visit.events.started(visit.invocation.id);
        visit.late =
            course.streamed.iter().flat_map(|(_, batch)| batch).chain(&course.kept).cloned().collect();
        world.run(&mut visit, &course).await?;
        match course.end {
            End::Never => std::future::pending::<()>().await,
            End::Reply(_) | End::Lost => {}
        }
        visit.end();
        world.clock.sleep(latency).await;
        let result = if matches!(course.end, End::Lost) {
            Err(world.lost(&mut visit))
        } else {
            visit.late.clear();
            let cold = !start.is_zero();
            let usage = Usage { queued, start, compute: course.compute, cold, ..Usage::default() };
            world.reply(&mut visit, course, usage).await
        };
        visit.leave();
        visit.haunt();
        result
    }

    async fn invoke_detached(&self, _: Invocation) -> Result<(), BackendError> {
        Err(BackendError::new(ErrorClass::Invalid, "the simulated provider has no detached invocations"))
    }

    async fn shutdown(&self) {}
}

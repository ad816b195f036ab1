//! [`SimInvoker`]: a provider that exists in simulated time only.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustwren_core::clock::Clock;
use rustwren_core::codec;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Payload, Reply, ResultBatch, Usage};
use rustwren_core::storage::{Key, Storage};

use super::clock::{SimClock, lock};
use super::course::{Course, End, Finished, Silence, batches, course, inputs};
use super::executor::Spawner;
use super::ledger::Ledger;
use super::provider::Provider;
use super::visit::Visit;
use super::work::Work;

/// An invoker whose workers are made up: it draws from its seed when they start, how long they take and what goes
/// wrong, and keeps a [`Ledger`] of what the scheduler does.
#[derive(Debug)]
pub struct SimInvoker {
    world: Arc<World>,
    limits: Limits,
}

pub(super) struct World {
    pub(super) provider: Provider,
    pub(super) work: Box<dyn Work>,
    pub(super) clock: SimClock,
    pub(super) spawner: Spawner,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) state: Mutex<State>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("provider", &self.provider).finish_non_exhaustive()
    }
}

pub(super) struct State {
    pub(super) rng: fastrand::Rng,
    pub(super) workers: Workers,
    /// How long workers have been taken up, added up.
    pub(super) worked: Duration,
    pub(super) accepted: usize,
    shut: bool,
    /// Invocations that would never end.
    at_shutdown: Vec<Waker>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Worker {
    pub(super) free_at: Duration,
    pub(super) warm: bool,
}

/// The workers, of whom the first free one is found without a look at all others.
#[derive(Debug)]
pub(super) struct Workers {
    all: Vec<Worker>,
    /// By the time at which they are free.
    order: BTreeSet<(Duration, usize)>,
}

impl Workers {
    fn new(count: usize) -> Self {
        let all = vec![Worker::default(); count.max(1)];
        let order = all.iter().enumerate().map(|(index, worker)| (worker.free_at, index)).collect();
        Self { all, order }
    }

    /// The one that is free first.
    pub(super) fn first(&self) -> (usize, Worker) {
        let index = self.order.first().map_or(0, |(_, index)| *index);
        (index, self.all[index])
    }

    pub(super) fn get(&self, index: usize) -> Worker {
        self.all[index]
    }

    pub(super) fn set(&mut self, index: usize, worker: Worker) {
        let old = std::mem::replace(&mut self.all[index], worker);
        self.order.remove(&(old.free_at, index));
        self.order.insert((worker.free_at, index));
    }
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
        limits.max_duration = provider.max_duration;
        limits.price = provider.price;
        limits.startup = provider.cold_start;
        limits.reports_start = provider.reports_start;
        limits.heartbeat = provider.heartbeat;
        limits.stragglers = provider.stragglers;
        let state = State {
            rng: fastrand::Rng::with_seed(seed),
            workers: Workers::new(provider.concurrency),
            worked: Duration::ZERO,
            accepted: 0,
            shut: false,
            at_shutdown: Vec::new(),
        };
        let ledger = Arc::new(Mutex::new(Ledger::new(&limits, trace)));
        let work = Box::new(work);
        let world = World { provider, work, clock, spawner, storage, ledger, state: Mutex::new(state) };
        Self { world: Arc::new(world), limits }
    }

    /// How long its workers have been taken up, added up, by what is over.
    pub fn worked(&self) -> Duration {
        lock(&self.world.state).worked
    }

    /// The book that this provider keeps.
    pub fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.world.ledger)
    }
}

fn broken(message: String) -> BackendError {
    BackendError::new(ErrorClass::Internal, message)
}

impl World {
    fn poll_shut(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.shut {
            return Poll::Ready(());
        }
        state.at_shutdown.push(cx.waker().clone());
        Poll::Pending
    }

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

    /// Lets time pass while an invocation is in good hands.
    async fn pass(&self, visit: &Visit, mut time: Duration) {
        while let Some(beat) = self.provider.heartbeat.filter(|beat| *beat < time) {
            self.clock.sleep(beat).await;
            visit.events.alive(visit.invocation.id);
            time -= beat;
        }
        self.clock.sleep(time).await;
    }

    /// Waits for nothing that is ever to come.
    async fn vanish(&self, visit: &mut Visit) -> BackendError {
        poll_fn(|cx| self.poll_shut(cx)).await;
        visit.leave();
        BackendError::new(ErrorClass::Cancelled, "simulated: the provider was shut down")
    }

    /// Streams what is to be streamed, then waits for the end.
    async fn run(&self, visit: &mut Visit, course: &Course) -> Result<(), BackendError> {
        let mut at = Duration::ZERO;
        for (time, finished) in &course.streamed {
            if let Some(Silence::After(silence)) =
                course.silent.filter(|silence| *silence < Silence::After(*time))
            {
                self.pass(visit, silence.saturating_sub(at)).await;
                visit.note(|| "falls silent".to_owned());
                return Err(self.vanish(visit).await);
            }
            self.pass(visit, time.saturating_sub(at)).await;
            at = at.max(*time);
            for batch in self.pack(visit, finished).await? {
                visit.note(|| format!("streams {}+{}", batch.offset, batch.count));
                visit.events.results(visit.invocation.id, batch);
            }
        }
        let end = if let Some(Silence::After(silence)) = course.silent { silence } else { course.compute };
        self.pass(visit, end.saturating_sub(at)).await;
        if course.silent.is_some() || matches!(course.end, End::Never) {
            visit.note(|| "falls silent".to_owned());
            return Err(self.vanish(visit).await);
        }
        Ok(())
    }

    /// Finished elements on their way to the client: large outputs through storage, where some get lost.
    async fn pack(&self, visit: &mut Visit, finished: &[Finished]) -> Result<Vec<ResultBatch>, BackendError> {
        let mut stored = Vec::new();
        let prefix = format!("jobs/{}/out/{}", visit.invocation.job.id, visit.number);
        let batches = batches(finished, |offset, output| {
            if output.len() <= self.provider.max_inline_output {
                return None;
            }
            let key = format!("{prefix}-{}", visit.stored);
            visit.stored += 1;
            stored.push((offset, key.clone(), Bytes::copy_from_slice(output)));
            codec::to_vec(&Payload::Stored { key, offset: 0, len: output.len() as u64 }).ok()
        });
        let told: Vec<u32> = stored.iter().map(|(offset, ..)| *offset).collect();
        let mut misplaced = Vec::new();
        for (offset, key, bytes) in stored {
            let rate = self.provider.misplaced;
            if rate > 0.0 && lock(&self.state).rng.f64() < rate {
                misplaced.push(offset);
            } else {
                self.storage.put(&Key::new(key)?, bytes).await?;
            }
        }
        visit.report(finished, &told, &misplaced);
        batches.map_err(broken)
    }

    async fn reply(&self, visit: &mut Visit, course: Course, usage: Usage) -> Result<Reply, BackendError> {
        let End::Reply(stopped) = course.end else {
            return Err(broken("no reply".to_owned()));
        };
        let results = self.pack(visit, &course.kept).await?;
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
        Ok(Reply { results, stopped, usage })
    }

    /// The worker is gone.
    fn lost(&self, visit: &mut Visit) -> BackendError {
        visit.blame_lone();
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
            match error.class() {
                ErrorClass::Transient => visit.fruitless(true),
                _ => lock(&world.ledger).refused(&visit.invocation.job.id),
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
        world.pass(&visit, queued).await;
        if course.silent == Some(Silence::AtOnce) {
            visit.note(|| "vanishes".to_owned());
            return Err(world.vanish(&mut visit).await);
        }
        visit.begin();
        world.pass(&visit, start).await;
        visit.note(|| format!("runs for {:?}", course.compute));
        if world.provider.reports_start {
            visit.told_start = true;
            visit.events.started(visit.invocation.id);
        }
        visit.late =
            course.streamed.iter().flat_map(|(_, batch)| batch).chain(&course.kept).cloned().collect();
        world.run(&mut visit, &course).await?;
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

    async fn shutdown(&self) {
        let mut state = lock(&self.world.state);
        state.shut = true;
        state.at_shutdown.drain(..).for_each(Waker::wake);
    }
}

//! [`ChaosInvoker`].

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use rustwren_core::clock::Clock;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use tokio::sync::Semaphore;

use crate::background::{Background, Spawn, on_tokio};
use crate::call::Call;
use crate::fate::{Fate, Stream, Trouble, chance};
use crate::plan::ChaosPlan;
use crate::ramp::{Fleet, Ramp};
use crate::tally::{Counter, Tally};

/// An invoker around another that makes invocations go wrong as a [`ChaosPlan`] says.
///
/// What befalls an invocation is decided when it arrives, by the seed and by how many came before it. So the same
/// seed gives the same faults to the same order of calls. Where the order or the ramp's steps depend on real time,
/// two runs differ in which elements meet which fault, but not in what befalls the n-th invocation.
///
/// It breaks two promises of [`Invoker`] on purpose: invocations that are duplicated run twice (the second time under
/// an id of their own, from 2^63 up), and results can be reported after an invocation's end.
pub struct ChaosInvoker {
    shared: Arc<Shared>,
    limits: Limits,
}

/// What all calls have in common.
pub(crate) struct Shared {
    pub(crate) inner: Arc<dyn Invoker>,
    pub(crate) plan: ChaosPlan,
    pub(crate) clock: Arc<dyn Clock>,
    /// Keeps the promise to the wrapped invoker that no more are under way at once than it takes.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) fleet: Mutex<Fleet>,
    pub(crate) background: Background,
    pub(crate) tally: Counter<Tally>,
    seed: u64,
    calls: AtomicU64,
    detached: AtomicU64,
    copies: AtomicU64,
}

impl Shared {
    /// An id for a second run of an invocation.
    pub(crate) fn copy_id(&self) -> u64 {
        (1 << 63) | self.copies.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn wait(&self, time: Duration) {
        // Most wait for no time at all, and a timer is dear.
        if !time.is_zero() {
            self.clock.sleep(time).await;
        }
    }

    /// Waits for something, and says every now and then that the invocation is in good hands.
    pub(crate) async fn meanwhile<T>(
        &self,
        future: impl Future<Output = T>,
        beat: Duration,
        events: &Arc<dyn Events>,
        id: u64,
    ) -> T {
        let mut future = pin!(future);
        loop {
            match select(future, self.clock.sleep(beat)).await {
                Either::Left((output, _)) => return output,
                Either::Right(((), rest)) => future = rest,
            }
            events.alive(id);
        }
    }

    pub(crate) fn with_fleet<T>(&self, with: impl FnOnce(&mut Fleet) -> T) -> T {
        with(&mut self.fleet.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ChaosInvoker {
    /// Wraps an invoker. Second runs and late results go on in the tokio runtime that invocations are polled in;
    /// without one there are none, see [`with_spawn`](Self::with_spawn).
    pub fn new(inner: Arc<dyn Invoker>, plan: ChaosPlan, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self::with_spawn(inner, plan, clock, seed, on_tokio())
    }

    /// Wraps an invoker, with another way to run tasks on their own.
    pub fn with_spawn(
        inner: Arc<dyn Invoker>,
        plan: ChaosPlan,
        clock: Arc<dyn Clock>,
        seed: u64,
        spawn: Spawn,
    ) -> Self {
        let mut limits = inner.limits().clone();
        let claimed = plan.concurrency.unwrap_or(limits.concurrency).max(1);
        let room = if claimed > limits.concurrency {
            // Who waits here is known to wait; who waits inside would seem to have an environment that does not begin.
            limits.concurrency
        } else {
            limits.concurrency.saturating_mul(limits.pipelining.saturating_add(1))
        };
        limits.concurrency = claimed;
        if plan.has_environments() || plan.concurrency.is_some() {
            limits.pipelining = 0;
        }
        limits.stragglers |= plan.stragglers > 0.0;
        limits.startup += plan.cold_start.most();
        // Nobody pays for what cannot be known, but a budget must not be exceeded by what can.
        limits.stops_when_dropped &= plan.ghosts <= 0.0 && plan.lost <= 0.0;
        let ramp = plan.ramp.unwrap_or(Ramp::flat(usize::MAX));
        let shared = Shared {
            inner,
            clock,
            gate: Arc::new(Semaphore::new(room.clamp(1, Semaphore::MAX_PERMITS))),
            fleet: Mutex::new(Fleet::new(ramp, plan.keep_warm)),
            background: Background::new(spawn),
            tally: Counter::default(),
            plan,
            seed,
            calls: AtomicU64::new(0),
            detached: AtomicU64::new(0),
            copies: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), limits }
    }

    /// What has gone wrong so far.
    pub fn tally(&self) -> Tally {
        self.shared.tally.get()
    }

    async fn detach(&self, invocation: Invocation) -> Result<(), BackendError> {
        let shared = &self.shared;
        let number = shared.detached.fetch_add(1, Ordering::Relaxed);
        let fate = Fate::draw(&shared.plan, chance(shared.seed, Stream::Detached, number));
        shared.wait(fate.there).await;
        let what = || format!("detached invocation {number}");
        match fate.trouble {
            Some(Trouble::Throttled) => {
                shared.tally.count(|tally| tally.throttled += 1);
                return Err(throttled(&what(), &shared.plan));
            }
            Some(Trouble::Transient) => {
                shared.tally.count(|tally| tally.transient += 1);
                return Err(transient(&what()));
            }
            // Taken, and never begun.
            Some(Trouble::Lost { runs: false } | Trouble::Crashed) => {
                shared.tally.count(|tally| tally.lost += 1);
                return Ok(());
            }
            _ => {}
        }
        if fate.duplicate.is_some() {
            shared.tally.count(|tally| tally.duplicated += 1);
            shared.inner.invoke_detached(Invocation { id: shared.copy_id(), ..invocation.clone() }).await?;
        }
        shared.inner.invoke_detached(invocation).await?;
        shared.wait(fate.back).await;
        // Taken, but whoever sent it does not learn that.
        if fate.trouble == Some(Trouble::CrashedAfter) {
            shared.tally.count(|tally| tally.crashed_after += 1);
            return Err(transient(&what()));
        }
        Ok(())
    }
}

pub(crate) fn throttled(what: &str, plan: &ChaosPlan) -> BackendError {
    let class = ErrorClass::Throttled { retry_after: plan.retry_after };
    BackendError::new(class, format!("chaos: {what} was throttled"))
}

pub(crate) fn transient(what: &str) -> BackendError {
    BackendError::new(ErrorClass::Transient, format!("chaos: {what} met an error inside the provider"))
}

fn shut_down() -> BackendError {
    BackendError::new(ErrorClass::Cancelled, "the provider was shut down")
}

impl std::fmt::Debug for ChaosInvoker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChaosInvoker")
            .field("inner", &self.shared.inner)
            .field("seed", &self.shared.seed)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Invoker for ChaosInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let shared = &self.shared;
        let number = shared.calls.fetch_add(1, Ordering::Relaxed);
        shared.tally.count(|tally| tally.invocations += 1);
        let fate = Fate::draw(&shared.plan, chance(shared.seed, Stream::Invocations, number));
        let call = Call::new(shared, number, fate, invocation, events);
        shared.background.until_shut(call.run()).await.unwrap_or_else(|| Err(shut_down()))
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        let done = self.shared.background.until_shut(self.detach(invocation)).await;
        done.unwrap_or_else(|| Err(shut_down()))
    }

    async fn shutdown(&self) {
        self.shared.background.shut_down();
        self.shared.inner.shutdown().await;
    }
}

impl Drop for ChaosInvoker {
    fn drop(&mut self) {
        self.shared.background.shut_down();
    }
}

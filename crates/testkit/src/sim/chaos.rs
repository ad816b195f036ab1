//! [`Chaos`] around a simulated provider: the faults that users can turn on, in simulated time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustwren_chaos::ramp::Ramp;
use rustwren_chaos::{ChaosInvoker, ChaosPlan, ChaosStorage, Delay, StoragePlan, StorageTally, Tally};
use rustwren_core::clock::Clock;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::{MemoryStorage, Storage};

use super::clock::{SimClock, lock};
use super::executor::Spawner;
use super::invoker::SimInvoker;
use super::ledger::Ledger;
use super::onlooker::Onlooker;
use super::provider::Provider;
use super::work::Work;

/// What goes wrong around a simulated provider, on top of its own faults.
#[derive(Debug, Clone, PartialEq)]
pub struct Chaos {
    /// With invocations.
    pub plan: ChaosPlan,
    /// With storage, as the client and the workers see it.
    pub storage: StoragePlan,
}

impl Chaos {
    /// The chaos of a seed; none for every second one. A provider whose silences nobody could notice gets a
    /// heartbeat where chaos makes some.
    pub fn draw(seed: u64, provider: &mut Provider) -> Option<Self> {
        // A stream of chance of its own: a scenario without chaos stays what it was.
        let mut draw = Draw(fastrand::Rng::with_seed(seed ^ 0x6368_616f_7300));
        if draw.0.bool() {
            return None;
        }
        let (plan, storage) = (draw.plan(provider.concurrency), draw.storage());
        if plan.lost > 0.0 && provider.max_duration.is_none() && provider.heartbeat.is_none() {
            provider.heartbeat = Some(Duration::from_secs(10));
        }
        Some(Self { plan, storage })
    }

    /// Whether storage has faults.
    pub(super) fn troubles_storage(&self) -> bool {
        let StoragePlan { slow, transient, throttled, ambiguous, .. } = self.storage;
        slow + transient + throttled + ambiguous > 0.0
    }
}

struct Draw(fastrand::Rng);

impl Draw {
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }

    /// Often zero, otherwise up to `most`.
    fn rate(&mut self, most: f64) -> f64 {
        if self.0.bool() { 0.0 } else { self.0.f64() * most }
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.0.u64(..=most * 1000))
    }

    fn delay(&mut self, most: u64) -> Delay {
        let (one, other) = (self.millis(most), self.millis(most));
        match self.0.u8(..4) {
            0 => Delay::Uniform(one.min(other), one.max(other)),
            1 => Delay::Pareto { least: one / 10, alpha: 1.0, most: Duration::from_millis(10 * most) },
            _ => Delay::None,
        }
    }

    fn ramp(&mut self, concurrency: usize) -> Ramp {
        Ramp {
            start: 1 + self.0.usize(..concurrency),
            step: self.0.usize(..=concurrency),
            every: self.millis(20_000),
            most: 1 + self.0.usize(..2 * concurrency),
        }
    }

    fn plan(&mut self, concurrency: usize) -> ChaosPlan {
        ChaosPlan {
            concurrency: self.pick(&[
                None,
                None,
                Some(1),
                Some(concurrency.div_ceil(2)),
                Some(2 * concurrency),
            ]),
            ramp: if self.0.u8(..3) == 0 { Some(self.ramp(concurrency)) } else { None },
            keep_warm: self.millis(300_000),
            cold_start: self.delay(1_000),
            latency: self.delay(50),
            throttled: self.rate(0.2),
            retry_after: self.pick(&[None, None, Some(0), Some(50), Some(3000)]).map(Duration::from_millis),
            transient: self.rate(0.1),
            lost: self.rate(0.1),
            lost_after: self.0.f64(),
            crashed: self.rate(0.05),
            crashed_after: self.rate(0.1),
            handed_back: self.rate(0.2),
            duplicated: self.rate(0.3),
            duplicate_delay: self.delay(5_000),
            stragglers: self.rate(0.1),
            straggler_factor: self.pick(&[1.0, 3.0, 10.0]),
            straggler_delay: (self.millis(1_000), self.millis(60_000)),
            reordered: self.rate(0.5),
            repeated: self.rate(0.5),
            ghosts: self.rate(1.0),
            linger: self.millis(100_000),
        }
    }

    fn storage(&mut self) -> StoragePlan {
        if self.0.bool() {
            return StoragePlan::calm();
        }
        StoragePlan {
            slow: self.rate(0.5),
            slow_by: self.delay(1_000),
            transient: self.rate(0.2),
            throttled: self.rate(0.1),
            retry_after: self.pick(&[None, Some(200)]).map(Duration::from_millis),
            ambiguous: self.rate(0.2),
        }
    }
}

/// A provider as a simulated client has it.
pub(super) struct Stack {
    pub(super) invoker: Arc<dyn Invoker>,
    /// As the client sees it.
    pub(super) storage: Arc<dyn Storage>,
    /// What lies below.
    pub(super) objects: MemoryStorage,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    chaotic: Option<Chaotic>,
}

struct Chaotic {
    invoker: Arc<ChaosInvoker>,
    client: Arc<ChaosStorage>,
    workers: Arc<ChaosStorage>,
    provider: Arc<SimInvoker>,
    /// The provider's own book.
    inner: Arc<Mutex<Ledger>>,
}

/// How often each fault occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// With invocations.
    pub invocations: Tally,
    /// With storage, as the client sees it.
    pub client_storage: StorageTally,
    /// With storage, as the workers see it.
    pub worker_storage: StorageTally,
    /// How long workers have been taken up by all of it, added up.
    pub worked: Duration,
}

impl Stack {
    pub(super) fn new(
        provider: Provider,
        chaos: Option<&Chaos>,
        work: impl Work,
        clock: &SimClock,
        spawner: Spawner,
        seed: u64,
        trace: bool,
    ) -> Self {
        let objects = MemoryStorage::new();
        let plain: Arc<dyn Storage> = Arc::new(objects.clone());
        let Some(chaos) = chaos else {
            let invoker =
                SimInvoker::new(provider, work, clock.clone(), spawner, Arc::clone(&plain), seed, trace);
            let ledger = invoker.ledger();
            return Self { invoker: Arc::new(invoker), storage: plain, objects, ledger, chaotic: None };
        };
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let faulty = |seed| {
            let (inner, time) = (Arc::clone(&plain), Arc::clone(&time));
            Arc::new(ChaosStorage::new(inner, chaos.storage.clone(), time, seed))
        };
        let (client, workers) = (faulty(seed), faulty(!seed));
        let background = spawner.clone();
        let spawn = Arc::new(move |task| background.spawn("chaos", task));
        let storage: Arc<dyn Storage> = workers.clone();
        let provider = SimInvoker::new(provider, work, clock.clone(), spawner, storage, seed, trace);
        let inner = provider.ledger();
        // It sees second runs and does not see what gets lost: of the scheduler's promises it knows nothing.
        lock(&inner).leave_to_others(true);
        let provider = Arc::new(provider);
        let inside: Arc<dyn Invoker> = provider.clone();
        let chaotic = Arc::new(ChaosInvoker::with_spawn(inside, chaos.plan.clone(), time, seed, spawn));
        let around: Arc<dyn Invoker> = chaotic.clone();
        let unsure = chaos.troubles_storage();
        let onlooker = Onlooker::new(around, clock.clone(), objects.clone(), unsure, trace);
        let ledger = onlooker.ledger();
        let storage: Arc<dyn Storage> = client.clone();
        let chaotic = Some(Chaotic { invoker: chaotic, client, workers, provider, inner });
        Self { invoker: Arc::new(onlooker), storage, objects, ledger, chaotic }
    }

    /// What has gone wrong by chaos.
    pub(super) fn faults(&self) -> Faults {
        let faults = self.chaotic.as_ref().map(|chaotic| Faults {
            invocations: chaotic.invoker.tally(),
            client_storage: chaotic.client.tally(),
            worker_storage: chaotic.workers.tally(),
            worked: chaotic.provider.worked(),
        });
        faults.unwrap_or_default()
    }

    /// Whatever breaks a promise, and what happened, by both books.
    pub(super) fn findings(&self) -> (Vec<String>, Vec<String>) {
        let ledger = lock(&self.ledger);
        let (mut violations, trace) = (ledger.violations().to_vec(), ledger.trace().to_vec());
        let Some(chaotic) = &self.chaotic else { return (violations, trace) };
        let inner = lock(&chaotic.inner);
        violations.extend(inner.violations().iter().map(|what| format!("at the provider: {what}")));
        let inner = inner.trace().iter().map(|line| (time(line), format!("{line} (at the provider)")));
        let mut lines: Vec<_> = trace.into_iter().map(|line| (time(&line), line)).chain(inner).collect();
        // Lines without a time belong to what they follow.
        let mut last = 0.0;
        for (at, _) in &mut lines {
            last = at.unwrap_or(last);
            *at = Some(last);
        }
        lines.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
        (violations, lines.into_iter().map(|(_, line)| line).collect())
    }
}

/// The time that a line of a trace begins with.
fn time(line: &str) -> Option<f64> {
    line.split_whitespace().next()?.parse().ok()
}

//! With all rates at zero the wrappers keep the contracts that the wrapped ones keep.

use std::sync::Arc;
use std::time::Duration;

use rustwren_chaos::ramp::Ramp;
use rustwren_chaos::{ChaosInvoker, ChaosPlan, ChaosStorage, Delay, StoragePlan};
use rustwren_core::clock::Clock;
use rustwren_core::storage::{MemoryStorage, Storage};
use rustwren_testkit::invoker_suite::{Functions, Subject};
use rustwren_testkit::sim::{Provider, SimClock, SimExecutor, SimInvoker, SuiteWork};
use rustwren_testkit::{invoker_suite, storage_suite};

fn invoker_keeps_the_contract(plan: ChaosPlan, provider: Provider) {
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (spawner, sim_clock) = (executor.spawner(), clock.clone());
    let inner = SimInvoker::new(provider, SuiteWork, sim_clock, spawner, Arc::clone(&storage), 1, false);
    let spawner = executor.spawner();
    let spawn = Arc::new(move |task| spawner.spawn("background", task));
    let chaos = ChaosInvoker::with_spawn(Arc::new(inner), plan, Arc::new(clock), 1, spawn);
    let subject = Subject { invoker: Arc::new(chaos), storage, functions: Functions::by_name() };
    executor.block_on(invoker_suite::run_all(&subject, &[])).unwrap();
}

fn provider() -> Provider {
    let mut provider = Provider::flawless(4);
    provider.pipelining = 3;
    provider.stream = 0.5;
    provider.max_inline_output = 1_000;
    provider
}

#[test]
fn a_calm_invoker_keeps_the_contract() {
    invoker_keeps_the_contract(ChaosPlan::calm(), provider());
}

#[test]
fn an_invoker_that_is_only_slow_keeps_the_contract() {
    let slow = ChaosPlan {
        cold_start: Delay::Uniform(Duration::from_millis(60), Duration::from_millis(300)),
        latency: Delay::Uniform(Duration::ZERO, Duration::from_millis(10)),
        ramp: Some(Ramp::lambda(1000)),
        stragglers: 0.5,
        reordered: 0.5,
        ..ChaosPlan::calm()
    };
    invoker_keeps_the_contract(slow, provider());
}

fn storage_keeps_the_contract(plan: StoragePlan) {
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let time: Arc<dyn Clock> = Arc::new(clock);
    let chaos = ChaosStorage::new(Arc::new(MemoryStorage::new()), plan, time, 1);
    executor.block_on(storage_suite::run_all(Arc::new(chaos), &[])).unwrap();
}

#[test]
fn a_calm_storage_keeps_the_contract() {
    storage_keeps_the_contract(StoragePlan::calm());
}

#[test]
fn a_storage_that_is_only_slow_keeps_the_contract() {
    storage_keeps_the_contract(StoragePlan { slow: 0.5, ..StoragePlan::calm() });
}

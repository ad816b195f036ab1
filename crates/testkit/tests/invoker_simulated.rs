//! The simulated provider keeps the contract of invokers, so that what the scheduler is tested against is true.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::storage::MemoryStorage;
use rustwren_testkit::invoker_suite::{Functions, Subject, run_all};
use rustwren_testkit::sim::{Provider, SimClock, SimExecutor, SimInvoker, SuiteWork, Times};

fn keeps_the_contract(provider: Provider) {
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let storage = Arc::new(MemoryStorage::new());
    let invoker = SimInvoker::new(provider, SuiteWork, clock, executor.spawner(), storage.clone(), 1, false);
    let subject = Subject { invoker: Arc::new(invoker), storage, functions: Functions::by_name() };
    executor.block_on(run_all(&subject, &[])).unwrap();
}

#[test]
fn without_streams() {
    keeps_the_contract(Provider::flawless(3));
}

#[test]
fn with_streams_queues_and_small_messages() {
    let mut provider = Provider::flawless(4);
    provider.pipelining = 3;
    provider.stream = 0.5;
    provider.cold_start = Duration::from_millis(200);
    provider.times = Times::Exponential(Duration::from_millis(5));
    provider.max_inline_input = 200_000;
    provider.max_inline_output = 1_000;
    keeps_the_contract(provider);
}

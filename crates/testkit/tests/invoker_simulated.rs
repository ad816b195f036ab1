//! The simulated provider keeps the contract of invokers, so that what the scheduler is tested against is true.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::codec;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::JobSpec;
use rustwren_core::storage::MemoryStorage;
use rustwren_testkit::invoker_suite::{BAD, Functions, Subject, run_all};
use rustwren_testkit::sim::{Outcome, Provider, SimClock, SimExecutor, SimInvoker, Times, Work};

struct SuiteWork;

impl Work for SuiteWork {
    fn attempt(&self, job: &JobSpec, _: u64, _: u32, input: &[u8]) -> Outcome {
        let value: Vec<u8> = codec::decode(input).unwrap();
        if value != BAD {
            return Outcome::Output(input.to_vec());
        }
        match job.label.as_str() {
            "fail" => Outcome::Fails(TaskFailure::new(FailureKind::Returned, "failed as told")),
            "panic" => Outcome::Fails(TaskFailure::new(FailureKind::Panic, "panicked as told")),
            "crash" => Outcome::Dies(FailureKind::Signal(6)),
            "loop" => Outcome::Hangs,
            _ => Outcome::Output(input.to_vec()),
        }
    }
}

fn job(name: &str) -> JobSpec {
    JobSpec {
        id: name.to_owned(),
        label: name.to_owned(),
        entry: Entry {
            image: ImageId([0; 32]),
            target: Target::Named { name: name.to_owned(), call: Call::Map },
        },
        shared: None,
        task_timeout: None,
        concurrency: 1,
    }
}

fn keeps_the_contract(provider: Provider) {
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let storage = Arc::new(MemoryStorage::new());
    let invoker = SimInvoker::new(provider, SuiteWork, clock, executor.spawner(), storage.clone(), 1, false);
    let functions = Functions {
        echo: job("echo"),
        fail: job("fail"),
        panic: job("panic"),
        crash: job("crash"),
        looping: job("loop"),
    };
    let subject = Subject { invoker: Arc::new(invoker), storage, functions };
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

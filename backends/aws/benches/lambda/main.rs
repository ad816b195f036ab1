//! Ten thousand Lambda invocations in flight from one client, beside boto3 with a pool of 64 threads: the same server, a
//! process of its own, that answers after five seconds.
//!
//! ```text
//! scripts/test -p rustwren-aws --lib                    # once: brings a Python with boto3 into .cache
//! cargo bench -p rustwren-aws --bench lambda            # about a minute
//! cargo bench -p rustwren-aws --bench lambda -- 1000    # with fewer
//! ```
//!
//! boto3 is called as PyWren and Lithops call it: `Event` invocations, which the server takes at once, so that its
//! threads need not wait for functions. Ours are synchronous and stay open until the answer; and, for what the same work
//! takes, events as well, 64 at a time.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use rustwren_aws::LambdaInvoker;
use rustwren_aws::client::{Access, Keys};
use rustwren_aws::config::{COMPUTE, ComputeConfig};
use rustwren_core::config::Settings;
use rustwren_core::invoker::Invoker as _;
use rustwren_core::protocol::json;
use rustwren_core::storage::MemoryStorage;
use rustwren_testkit::flight::{self, Reply, Server, Taken};

/// Threads of boto3's pool, and our events at a time.
const AT_ONCE: usize = 64;
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/moto/bin/python");

fn invoker(address: &str, count: usize) -> LambdaInvoker {
    let settings = Settings::of_program(&COMPUTE, "/tmp", [("workers", count.to_string())]).unwrap();
    let access = Access {
        endpoint: Some(format!("http://{address}")),
        credentials: Some(Keys { id: "id".to_owned(), secret: "secret".to_owned() }),
        ..Access::default()
    };
    let config = ComputeConfig { access, ..ComputeConfig::from_settings(&settings).unwrap() };
    LambdaInvoker::new(config, Arc::new(MemoryStorage::new()))
}

/// The same as boto3's: events, 64 at a time.
fn events(count: usize) -> Taken {
    let server = Server::start(count);
    let (address, job) = (server.address().to_owned(), flight::job());
    flight::measure(count, server, async |calls| {
        let invoker = invoker(&address, count);
        let all = (0..count as u64).map(|id| invoker.invoke_detached(flight::invocation(&job, id)));
        let mut all = pin!(stream::iter(all).buffer_unordered(AT_ONCE));
        while let Some(taken) = all.next().await {
            taken.unwrap();
            calls();
        }
    })
}

fn boto3(count: usize) -> Taken {
    let mut server = Server::start(count);
    let mut python = Command::new(PYTHON);
    python.arg("-c").arg(include_str!("boto3_pool.py")).arg(server.address()).arg(count.to_string());
    let output = python.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().unwrap());
    let (cpu, memory) = (Duration::from_secs_f64(numbers.next().unwrap()), numbers.next().unwrap() as u64);
    let started = Duration::from_secs_f64(numbers.next().unwrap());
    Taken { dispatch: cpu, cpu, all_in_flight: server.all_in_flight(started), memory }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == flight::SERVER) {
        let body = json::to_json(&flight::nothing()).into();
        let at_once = Some(("x-amz-invocation-type", "Event"));
        let reply = Reply { body, kind: "application/json", delay: flight::DELAY, at_once };
        flight::serve(arguments[1].parse().unwrap(), reply);
    }
    let count: usize = arguments.first().map_or(10_000, |count| count.parse().unwrap());
    println!("{count} invocations of {} s", flight::DELAY.as_secs());
    let ours = flight::ours(count, |address| invoker(address, count));
    let (events, theirs) = (events(count), boto3(count));
    ours.print("rustwren", count);
    // All is over when all are dispatched, and the memory is that of what came before.
    Taken { dispatch: events.cpu, ..events }.print("rustwren, events", count);
    theirs.print("boto3, 64 threads", count);
    let ratio = |name: &str, cpu: Duration, all_in_flight: Duration| {
        println!(
            "boto3 / {name}: CPU {:.1}, until all are in flight {:.1}",
            theirs.cpu.as_secs_f64() / cpu.as_secs_f64(),
            theirs.all_in_flight.as_secs_f64() / all_in_flight.as_secs_f64()
        );
    };
    ratio("rustwren until all were dispatched", ours.dispatch, ours.all_in_flight);
    ratio("rustwren with the answers", ours.cpu, ours.all_in_flight);
    ratio("rustwren, events", events.cpu, events.all_in_flight);
    // 64 calls at a time that take five seconds each need no measurement.
    let rounds = count.div_ceil(AT_ONCE).saturating_sub(1);
    println!("64 threads that wait for each answer have the last of them in flight after {} s", rounds * 5);
}

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
//! threads need not wait for functions. Ours are synchronous and stay open until the answer.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

mod server;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};
use rustwren_aws::LambdaInvoker;
use rustwren_aws::client::{Access, Keys};
use rustwren_aws::config::{COMPUTE, ComputeConfig};
use rustwren_core::config::Settings;
use rustwren_core::entry::Call;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invocation, Invoker as _, JobSpec, LogLine, Payload, ResultBatch};
use rustwren_core::storage::MemoryStorage;

const SERVER: &str = "--server";
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/moto/bin/python");

/// What each side took.
struct Taken {
    /// Processor time until everything was dispatched.
    dispatch: Duration,
    /// Processor time in all.
    cpu: Duration,
    /// Until the server held all of them, or had taken them.
    all_in_flight: Duration,
    /// The largest resident memory beyond what it was before.
    memory: u64,
}

/// Processor time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The server's process, and the lines that it writes.
struct Server {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: String,
}

impl Server {
    fn start(count: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(SERVER).arg(count.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.next().unwrap().unwrap();
        Self { child, lines, address }
    }

    /// How long after its first call it had all of them.
    fn all_in_flight(&mut self) -> Duration {
        Duration::from_micros(self.lines.next().unwrap().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Ignore;

impl Events for Ignore {
    fn results(&self, _: u64, _: ResultBatch) {}
    fn started(&self, _: u64) {}
    fn log(&self, _: u64, _: LogLine) {}
}

fn ours(count: usize) -> Taken {
    let mut server = Server::start(count);
    let settings = Settings::of_program(&COMPUTE, "/tmp", [("workers", count.to_string())]).unwrap();
    let access = Access {
        endpoint: Some(format!("http://{}", server.address)),
        credentials: Some(Keys { id: "id".to_owned(), secret: "secret".to_owned() }),
        ..Access::default()
    };
    let config = ComputeConfig { access, ..ComputeConfig::from_settings(&settings).unwrap() };
    let invoker = LambdaInvoker::new(config, Arc::new(MemoryStorage::new()));
    let job = Arc::new(JobSpec::named("job", ImageId([0; 32]), "f", Call::Map));
    let invocation = |id: usize| Invocation {
        first: id as u64,
        ..Invocation::first(
            Arc::clone(&job),
            id as u64,
            1,
            Payload::Inline(vec![Bytes::from_static(b"\x01x")]),
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events: Arc<dyn Events> = Arc::new(Ignore);
    let before = status("VmRSS");
    let begun = cpu();
    let mut dispatch = Duration::ZERO;
    runtime.block_on(async {
        let mut calls: FuturesUnordered<_> =
            (0..count).map(|id| invoker.invoke(invocation(id), &events)).collect();
        let mut left = count;
        while let Some(reply) = calls.next().await {
            if left == count {
                // The first answer comes five seconds after the first call: everything is on its way by then.
                dispatch = cpu().saturating_sub(begun);
            }
            reply.unwrap();
            left -= 1;
        }
        assert_eq!(left, 0);
    });
    let cpu = cpu().saturating_sub(begun);
    Taken { dispatch, cpu, all_in_flight: server.all_in_flight(), memory: status("VmHWM") - before }
}

fn boto3(count: usize) -> Taken {
    let mut server = Server::start(count);
    let mut python = Command::new(PYTHON);
    python.arg("-c").arg(include_str!("boto3_pool.py")).arg(&server.address).arg(count.to_string());
    let output = python.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().unwrap());
    let (cpu, memory) = (Duration::from_secs_f64(numbers.next().unwrap()), numbers.next().unwrap() as u64);
    Taken { dispatch: cpu, cpu, all_in_flight: server.all_in_flight(), memory }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == SERVER) {
        server::serve(arguments[1].parse().unwrap());
    }
    let count: usize = arguments.first().map_or(10_000, |count| count.parse().unwrap());
    let sides = [("rustwren", ours(count)), ("boto3, 64 threads", boto3(count))];
    println!("{count} invocations of 5 s");
    for (name, taken) in &sides {
        println!(
            "{name:20} {:7.1} us of CPU each until all were dispatched, {:7.1} us in all; all in flight after {:6.2} s; \
             {:5.1} KB each",
            taken.dispatch.as_secs_f64() * 1e6 / count as f64,
            taken.cpu.as_secs_f64() * 1e6 / count as f64,
            taken.all_in_flight.as_secs_f64(),
            taken.memory as f64 / 1024.0 / count as f64,
        );
    }
    let [(_, ours), (_, theirs)] = &sides;
    println!(
        "boto3 / rustwren: CPU {:.1}, until all are in flight {:.1}",
        theirs.cpu.as_secs_f64() / ours.cpu.as_secs_f64(),
        theirs.all_in_flight.as_secs_f64() / ours.all_in_flight.as_secs_f64()
    );
    // 64 calls at a time that take five seconds each need no measurement.
    let rounds = count.div_ceil(64).saturating_sub(1);
    println!("64 threads that wait for each answer have the last of them in flight after {} s", rounds * 5);
}

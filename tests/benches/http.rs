//! What HTTP workers make of invocations that do nothing, through nginx: `cargo bench -p rustwren-tests -- [--quick]`.
//!
//! Client, nginx, four runtimes and their function processes share this machine. `docs/benchmarks.md` says what each
//! line means and what came out.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark that goes wrong ends, and it paces calls by the clock"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustwren::Executor;
use rustwren::blocking::block_on;
use rustwren_core::auth::{Secrets, Signer, Verifier};
use rustwren_tests::fleet::{Fleet, Kind, Plan};

/// Invocations per second that are to go through, and half of which are to be answered in time.
const TARGET: f64 = 2_000.0;

fn main() -> ExitCode {
    if rustwren_tests::fleet::serves() {
        return rustwren_worker::main();
    }
    rustwren::init();
    let quick = std::env::args().any(|argument| argument == "--quick");
    signatures(quick);
    let fleet = Fleet::start(Plan { balancer: Some(Kind::Nginx), runtimes: 4, workers: 1, settings: &[] });
    block_on(async {
        for workers in [4, 8, 16] {
            throughput(&fleet, workers, quick).await;
        }
        latency(&fleet, quick).await;
    });
    ExitCode::SUCCESS
}

/// The processor time that each end has with a call of 4 KB.
fn signatures(quick: bool) {
    let calls = if quick { 2_000 } else { 50_000 };
    let body = vec![b'x'; 4 << 10];
    let secrets = Secrets::parse(&"5".repeat(64)).unwrap();
    let signer = Signer::new(secrets.first().unwrap().clone());
    let begun = Instant::now();
    let headers: Vec<String> =
        (0..calls).map(|_| signer.sign("POST", "/v1/invoke", &body).unwrap()).collect();
    let sign = begun.elapsed().as_secs_f64() / f64::from(calls) * 1e6;
    let verifier = Verifier::new(secrets);
    let mut times: Vec<f64> = headers
        .iter()
        .map(|header| {
            let begun = Instant::now();
            let mut check = verifier.check(Some(header), "POST", "/v1/invoke").unwrap();
            check.update(black_box(&body));
            assert!(check.is_right());
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "signature of a 4 KB body: made in {sign:.1} µs, checked in {:.1} µs (median; p99 {:.1} µs); target 20 µs",
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
}

async fn client(fleet: &Fleet, workers: u64) -> Executor {
    let executor = Executor::connect_with(&fleet.options().set("compute.workers", workers)).await.unwrap();
    // Programs are fetched and processes started before anything is timed.
    executor.map(|x: u64| x, 0..400).chunk_size(1).await.unwrap();
    executor
}

/// As many invocations as go through when so many are kept under way.
async fn throughput(fleet: &Fleet, workers: u64, quick: bool) {
    let executor = client(fleet, workers).await;
    let count: u64 = if quick { 2_000 } else { 20_000 };
    let job = executor.map(|x: u64| x, 0..count).chunk_size(1).spawn().await.unwrap();
    let handle = job.handle();
    let begun = Instant::now();
    let results = job.results().await.unwrap();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    assert!(results.into_iter().eq(0..count), "outputs are the inputs");
    let stats = handle.stats();
    println!(
        "no-op, {workers:>2} under way: {rate:.0} invocations/s ({:.2} of the target of {TARGET:.0}/s); {} throttled, {} \
         lost",
        rate / TARGET,
        stats.throttled,
        stats.lost
    );
}

/// How long an invocation takes that comes at its time, whatever became of those before: half as many a second as are to
/// go through.
async fn latency(fleet: &Fleet, quick: bool) {
    let executor = client(fleet, 16).await;
    let rate = TARGET / 2.0;
    let count = (rate * if quick { 2.0 } else { 15.0 }) as u64;
    let due = move |index: u64| Duration::from_secs_f64(index as f64 / rate);
    let begun = Instant::now();
    let inputs = (0..count).inspect(move |index| {
        std::thread::sleep(due(*index).saturating_sub(begun.elapsed()));
    });
    let mut job = executor.map(|x: u64| x, inputs).chunk_size(1).spawn().await.unwrap();
    let mut times = Vec::new();
    while let Some(result) = job.next().await {
        let (index, _) = result.unwrap();
        times.push((begun.elapsed().saturating_sub(due(index))).as_secs_f64() * 1e3);
    }
    let lasted = begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    println!(
        "no-op, one every {:.1} ms: {:.0}/s went through; p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; target p99 50 ms",
        1e3 / rate,
        times.len() as f64 / lasted,
        quantile(&times, 0.5),
        quantile(&times, 0.99),
        quantile(&times, 1.0)
    );
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

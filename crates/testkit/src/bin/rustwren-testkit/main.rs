//! Runs simulations of the scheduler, many more than the tests do:
//! `rustwren-testkit simulate --seeds 20000 --from 0`. With `mortal` in place of `simulate`: of durable jobs whose clients
//! die. `rustwren-testkit ramp` prints the tables of `docs/reliability.md`: makespans beside other policies'.
//! `rustwren-testkit gcs --port 4443` is the server that stands in for Cloud Storage in tests, until it is ended.

mod ramp;

use std::process::ExitCode;

use rustwren_testkit::sim;
use rustwren_testkit::standins::Gcs;

const USAGE: &str = "\
usage: rustwren-testkit simulate|mortal [--seeds COUNT] [--from SEED]
       rustwren-testkit ramp [--seeds COUNT] [--tasks MOST]
       rustwren-testkit gcs [--port PORT]";
/// Failures shown in full; of more, only the seeds and what they broke.
const SHOWN: usize = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Simulate,
    Mortal,
    Ramp,
    Gcs,
}

struct Arguments {
    what: What,
    from: u64,
    seeds: u64,
    tasks: u64,
    /// Where none is named, a free one.
    port: u64,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (what, seeds) = match words.next().as_deref() {
        Some("simulate") => (What::Simulate, 1000),
        Some("mortal") => (What::Mortal, 1000),
        Some("ramp") => (What::Ramp, 5),
        Some("gcs") => (What::Gcs, 0),
        _ => return Err(USAGE.to_owned()),
    };
    let mut arguments = Arguments { what, from: 0, seeds, tasks: 1_000_000, port: 0 };
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--port" if what == What::Gcs => &mut arguments.port,
            "--from" if matches!(what, What::Simulate | What::Mortal) => &mut arguments.from,
            "--tasks" if what == What::Ramp => &mut arguments.tasks,
            "--seeds" if what != What::Gcs => &mut arguments.seeds,
            other => return Err(format!("unknown argument {other:?}\n{USAGE}")),
        };
        let value = words.next().ok_or_else(|| format!("{word} needs a number\n{USAGE}"))?;
        *place = value.parse().map_err(|error| format!("{word} {value}: {error}\n{USAGE}"))?;
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match arguments.what {
        What::Simulate => simulate(&arguments),
        What::Mortal => mortal(&arguments),
        What::Gcs => gcs(arguments.port),
        What::Ramp => match ramp::tables(arguments.tasks, arguments.seeds) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Serves until it is ended.
fn gcs(port: u64) -> ExitCode {
    let Ok(port) = u16::try_from(port) else {
        eprintln!("--port {port} is no port");
        return ExitCode::from(2);
    };
    let server = Gcs::start_at(port);
    println!("Cloud Storage's JSON API, as tests have it, at {}", server.endpoint());
    loop {
        std::thread::park();
    }
}

fn simulate(arguments: &Arguments) -> ExitCode {
    let (mut failures, mut jobs, mut ended) = (0, 0, 0);
    let (mut invocations, mut lost, mut backups, mut duplicates) = (0, 0, 0, 0);
    let end = arguments.from.saturating_add(arguments.seeds);
    for seed in arguments.from..end {
        match sim::run(seed) {
            Ok(reports) => {
                jobs += reports.len();
                ended += reports.iter().filter(|report| report.end.is_ok()).count();
                for report in &reports {
                    invocations += report.stats.invocations;
                    lost += report.stats.lost;
                    backups += report.stats.backups;
                    duplicates += report.stats.duplicates;
                }
            }
            Err(failure) => {
                failures += 1;
                if failures <= SHOWN {
                    println!("{failure}\n");
                } else {
                    println!("seed {seed}: {}", failure.violations.first().map_or("", String::as_str));
                }
            }
        }
    }
    println!(
        "{} seeds: {jobs} jobs, {ended} with all results, {invocations} invocations ({lost} given up), \
         {backups} backup tasks, {duplicates} duplicates, {failures} failures",
        arguments.seeds
    );
    ExitCode::from(u8::from(failures > 0))
}

fn mortal(arguments: &Arguments) -> ExitCode {
    let mut failures = 0;
    let mut sum = sim::MortalReport::default();
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        match sim::run_mortal(seed) {
            Ok(report) => {
                sum.killed += report.killed;
                sum.leads += report.leads;
                sum.entries += report.entries;
                sum.invocations += report.invocations;
            }
            Err(failure) => {
                failures += 1;
                if failures <= SHOWN {
                    println!("{failure}\n");
                } else {
                    println!("seed {seed}: {}", failure.violations.first().map_or("", String::as_str));
                }
            }
        }
    }
    println!(
        "{} seeds: {} clients killed, {} times the lead was taken, {} journal entries, {} invocations, {failures} failures",
        arguments.seeds, sum.killed, sum.leads, sum.entries, sum.invocations
    );
    ExitCode::from(u8::from(failures > 0))
}

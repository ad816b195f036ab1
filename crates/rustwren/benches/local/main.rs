//! What this machine makes of `RustWren`, as ratios within one run: `cargo bench -p rustwren -- [--quick] [section...]`.
//!
//! `docs/benchmarks.md` says what each section measures and what came out.

mod child;
mod client;
mod guards;
mod image;
mod noop;
mod report;
mod skew;
mod spin;
mod start;
mod tasks;

use std::process::ExitCode;

use rustwren::{Executor, blocking};

/// What a section is given.
struct Setting {
    /// Fewer repetitions and smaller jobs.
    quick: bool,
    /// Function processes, and threads of what they are compared with.
    cores: usize,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Section = fn(&Setting) -> Outcome;

const SECTIONS: &[(&str, Section)] = &[
    ("noop", noop::run),
    ("tasks", tasks::run),
    ("skew", skew::run),
    ("client", client::run),
    ("guards", guards::run),
    ("start", start::run),
    ("image", image::run),
];

fn main() -> ExitCode {
    rustwren::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(outcome) = child::run(&args) {
        return ended("child", outcome);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let setting = Setting { quick: args.iter().any(|arg| arg == "--quick"), cores };
    let named: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    if let Some(unknown) = named.iter().find(|name| SECTIONS.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no section {unknown:?}; there are: {}", known.join(", "));
        return ExitCode::from(2);
    }
    for (name, section) in SECTIONS {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            let outcome = section(&setting);
            if outcome.is_err() {
                return ended(name, outcome);
            }
        }
    }
    ExitCode::SUCCESS
}

fn ended(name: &str, outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// An executor over function processes of this machine, all of them started.
fn warm(setting: &Setting) -> rustwren::Result<Executor> {
    let executor = blocking::connect()?;
    let hold = |millis: u64| {
        let begun = std::time::Instant::now();
        while begun.elapsed().as_millis() < u128::from(millis) {}
        std::process::id()
    };
    // Elements long enough that none of the processes can take those of another.
    loop {
        let job = executor.map(hold, vec![20; 4 * setting.cores]).chunk_size(1);
        let mut pids = rustwren::blocking::Wait::wait(job)?;
        pids.sort_unstable();
        pids.dedup();
        if pids.len() >= setting.cores {
            return Ok(executor);
        }
    }
}

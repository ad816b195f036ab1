//! Suites of which each is one test, over servers that cost more to start than most tests take.

use std::panic::AssertUnwindSafe;
use std::process::{Command, ExitCode};

use libtest_mimic::{Failed, Trial};
use rustwren::blocking::block_on;
use rustwren::{Executor, Result};

use crate::{Gap, Test};

/// Servers that the tests of one suite share.
pub trait Place {
    /// A new executor over them, with two workers.
    fn connect(&self) -> Result<Executor>;
}

/// The tests as one, in the place that `start` makes. All of them are run, and those that failed are named.
pub fn suite<P: Place>(
    name: String,
    tests: &'static [Test],
    gaps: &'static [Gap],
    start: impl FnOnce() -> P + Send + 'static,
) -> Trial {
    Trial::test(name, move || {
        let place = start();
        let mut failed = Vec::new();
        for (name, test) in tests {
            if let Some((_, reason)) = gaps.iter().find(|(gap, _)| gap == name) {
                eprintln!("{name}: not run: {reason}");
                continue;
            }
            // So that a failure's message stands below its test's name, and what takes long is seen.
            let begun = std::time::Instant::now();
            eprintln!("{name}");
            let executor = place.connect().map_err(|error| Failed::from(format!("{name}: {error}")))?;
            if std::panic::catch_unwind(AssertUnwindSafe(|| block_on(test(executor)))).is_err() {
                failed.push(*name);
            }
            eprintln!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
        }
        if failed.is_empty() { Ok(()) } else { Err(format!("{failed:#?} failed, see above").into()) }
    })
}

/// Runs this program once more, with these variables in its environment, unless that is how it was started: what is read
/// from the environment alone (credentials of a cloud's SDK) can be given in no other way. Gives the code of that run.
///
/// To be called first thing in `main`; function processes and agents do not return from it.
pub fn again_with(variables: &[(&str, &str)]) -> Option<ExitCode> {
    rustwren::init();
    let own = rustwren_core::env::Environment::of_process();
    if variables.iter().all(|(name, value)| own.get(name).is_some_and(|is| is == *value)) {
        return None;
    }
    let again = std::env::current_exe().and_then(|program| {
        Command::new(program).args(std::env::args_os().skip(1)).envs(variables.iter().copied()).status()
    });
    Some(match again {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("this program cannot be started again: {error}");
            ExitCode::FAILURE
        }
    })
}

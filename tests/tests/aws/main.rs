//! The suites over AWS: S3 on moto, and Lambda's Invoke API in front of environments of the official emulator. This
//! program is the runtime in them, too.
//!
//! One test for each suite, with servers of its own: their start costs more than most tests.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the test's own way to have credentials in its environment; tests fail by panicking"
)]

mod place;
mod switch;
mod trouble;

use std::panic::AssertUnwindSafe;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use rustwren::blocking::block_on;
use rustwren_tests::{Test, suite};

use place::{CREDENTIALS, Place};

/// The suites, each with the limit of its invocations in seconds. That of deadlines is not among them: its limit is one
/// second, in which Lambda counts the start of a process and the fetching of its program as well.
const SUITES: &[(&str, &[Test], u64)] =
    &[("jobs", suite::jobs::TESTS, 20), ("failures", suite::failures::TESTS, 20)];

/// Tests that cannot pass here, each with the reason.
const GAPS: &[(&str, &str)] = &[(
    "jobs::a_task_knows_its_deadline",
    "it expects half an hour, and an invocation lasts 20 s here: nobody can cancel those that have no end",
)];

fn run(tests: &[Test], seconds: u64) -> Result<(), Failed> {
    let place = Place::new(seconds);
    let mut failed = Vec::new();
    for (name, test) in tests {
        if let Some((_, reason)) = GAPS.iter().find(|(gap, _)| name.ends_with(gap)) {
            eprintln!("{name}: not run: {reason}");
            continue;
        }
        // So that a failure's message stands below its test's name.
        eprintln!("{name}");
        let executor = place.connect().map_err(|error| Failed::from(format!("{name}: {error}")))?;
        if std::panic::catch_unwind(AssertUnwindSafe(|| block_on(test(executor)))).is_err() {
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("{failed:#?} failed, see above").into()) }
}

fn main() -> ExitCode {
    rustwren::init();
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return rustwren_worker::main();
    }
    let has_credentials = std::env::var_os(CREDENTIALS[0].0).is_some_and(|id| id == CREDENTIALS[0].1);
    if !has_credentials {
        let again = std::env::current_exe().and_then(|program| {
            Command::new(program).args(std::env::args_os().skip(1)).envs(CREDENTIALS).status()
        });
        return match again {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    let trials = SUITES
        .iter()
        .map(|&(name, tests, seconds)| Trial::test(format!("aws::{name}"), move || run(tests, seconds)))
        .chain(trouble::trials())
        .chain([switch::trial()]);
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

//! End-to-end suites through real processes, over any backend.
//!
//! A test target with `harness = false` calls [`main`] with a backend. It is its own function process's program:
//! the suites' functions are mapped as any user's would be.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and their tasks do what tasks should not"
)]

use std::pin::Pin;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use rustwren::blocking::block_on;
use rustwren::{Executor, Result};

pub mod hosted;
pub mod suite;

/// A future that a suite runs on a plain thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A place to run the suites.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    /// Its name, in front of every test's.
    pub name: &'static str,
    /// Makes a new executor with two workers.
    pub connect: fn() -> BoxFuture<Result<Executor>>,
    /// The same where an invocation may last one second, if that can be had there.
    pub short_lived: Option<fn() -> BoxFuture<Result<Executor>>>,
    /// Tests that cannot pass there, each with the reason.
    pub gaps: &'static [(&'static str, &'static str)],
}

/// One test of a suite.
pub type Test = (&'static str, fn(Executor) -> BoxFuture<()>);

/// A test that is no suite's.
pub type Single = (&'static str, fn());

/// Runs all suites over these backends, as `cargo test` and `cargo nextest` expect it.
pub fn main(backends: &[Backend]) -> ExitCode {
    main_with(backends, &[])
}

/// The same, and some more tests.
pub fn main_with(backends: &[Backend], singles: &[Single]) -> ExitCode {
    rustwren::init();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for backend in backends.iter().copied() {
        let tests = suite::ALL.iter().flat_map(|tests| tests.iter().map(|test| (test, backend.connect)));
        let limited = |connect| suite::deadlines::TESTS.iter().map(move |test| (test, connect));
        let short = backend.short_lived.into_iter().flat_map(limited);
        for (&(name, run), connect) in tests.chain(short) {
            let gap = backend.gaps.iter().find(|(gap, _)| *gap == name);
            let trial = Trial::test(format!("{}::{name}", backend.name), move || {
                let executor = block_on(connect()).map_err(|error| Failed::from(error.to_string()))?;
                block_on(run(executor));
                Ok(())
            });
            trials.push(trial.with_ignored_flag(gap.is_some()));
        }
    }
    trials.extend(singles.iter().map(|&(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A list of tests from functions of one argument.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// The tests of this suite.
        pub const TESTS: &[$crate::Test] = &[$((concat!(module_path!(), "::", stringify!($name)), |executor| Box::pin($name(executor)))),*];
    };
}

/// Appends a line to the file `notes` in the working directory, for helper programs whose steps a test counts.
///
/// # Panics
///
/// Where that file cannot be written: the test would count wrongly.
pub fn note(line: &str) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().append(true).create(true).open("notes");
    // In one write: several processes append to the file.
    let line = format!("{line}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("notes: {error}"));
}

//! End-to-end suites through real processes, over any backend.
//!
//! A test target with `harness = false` calls [`main`] with a backend. It is its own function process's program:
//! the suites' functions are mapped as any user's would be.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    reason = "tests fail by panicking, and their tasks do what tasks should not"
)]

use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use rustwren::blocking::block_on;
use rustwren::{Executor, Result};

pub mod fleet;
pub mod google;
pub mod grouped;
pub mod hosted;
pub mod listening;
pub mod suite;
pub mod switch;

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
    pub gaps: &'static [Gap],
}

/// A test that cannot pass somewhere, by its full name, and the reason.
pub type Gap = (&'static str, &'static str);

/// One test of a suite.
pub type Test = (&'static str, fn(Executor) -> BoxFuture<()>);

thread_local! {
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what an executor needs outside of it (servers, a folder) until the test that runs on this thread is over.
pub fn keep(needed: impl Any) {
    KEPT.with_borrow_mut(|kept| kept.push(Box::new(needed)));
}

/// Lets go of what a test has kept, also if it fails.
struct Kept;

impl Drop for Kept {
    fn drop(&mut self) {
        drop(KEPT.take());
    }
}

/// A test of its own, beside the suites, for [`main_with`]. What it has [kept](keep) goes when it is over.
pub fn trial(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let _kept = Kept;
        run();
        Ok(())
    })
}

/// Runs all suites over these backends, as `cargo test` and `cargo nextest` expect it.
pub fn main(backends: &[Backend]) -> ExitCode {
    main_with(backends, Vec::new())
}

/// The same with tests beside the suites.
pub fn main_with(backends: &[Backend], mut trials: Vec<Trial>) -> ExitCode {
    rustwren::init();
    // The runtimes of a fleet are this program, too, and so are those of Lambda's environments.
    if fleet::serves() || rustwren_core::env::AWS_LAMBDA_RUNTIME_API.get().is_some() {
        return rustwren_worker::main();
    }
    let arguments = Arguments::from_args();
    for backend in backends.iter().copied() {
        let tests = suite::ALL.iter().flat_map(|tests| tests.iter().map(|test| (test, backend.connect)));
        let limited = |connect| suite::deadlines::TESTS.iter().map(move |test| (test, connect));
        let short = backend.short_lived.into_iter().flat_map(limited);
        for (&(name, run), connect) in tests.chain(short) {
            let gap = backend.gaps.iter().find(|(gap, _)| *gap == name);
            let trial = Trial::test(format!("{}::{name}", backend.name), move || {
                let _kept = Kept;
                let executor = block_on(connect()).map_err(|error| Failed::from(error.to_string()))?;
                block_on(run(executor));
                Ok(())
            });
            trials.push(trial.with_ignored_flag(gap.is_some()));
        }
    }
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

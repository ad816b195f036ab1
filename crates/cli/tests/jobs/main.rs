//! `rustwren jobs` and `rustwren repro` over jobs that real programs have made. This test's program is their program,
//! too: it starts itself as the client, as function processes, and is what `repro` runs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what fails, fails the test; and tasks fail on purpose"
)]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

mod clean;
mod failures;
mod harness;
mod list;
mod live;
mod made;
mod program;
mod repro;
mod repro_program;
mod tasks;

/// The first argument that makes this program a user's.
const PROGRAM: &str = "program";

fn main() -> ExitCode {
    rustwren::init();
    if std::env::args().nth(1).as_deref() == Some(PROGRAM) {
        return program::main();
    }
    let tests = [list::TESTS, live::TESTS, clean::TESTS, failures::TESTS, repro::TESTS, repro_program::TESTS]
        .concat();
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// A list of tests from functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[(&str, fn())] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}

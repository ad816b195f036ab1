//! The supervisor with real function processes. This program is its own function process, so it brings its own
//! `main` instead of libtest's. Arguments: parts of names of tests to run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test, which clippy cannot see without libtest; its tasks sleep, exit and read the environment on purpose"
)]

mod faults;
mod flow;
mod functions;
mod harness;
mod host;
mod life;
mod lifecycle;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    if rustwren_core::env::is_worker() {
        rustwren_core::worker::serve(functions::resolve);
    }
    if std::env::args().any(|argument| argument == lifecycle::CLIENT) {
        lifecycle::client_that_is_killed();
    }
    let tests =
        [flow::TESTS, faults::TESTS, output::TESTS, life::TESTS, lifecycle::TESTS, host::TESTS].concat();
    harness::main(&tests)
}

//! The supervisor with real function processes. This program is its own function process, so it brings its own
//! `main` instead of libtest's. Arguments: parts of names of tests to run.

mod faults;
mod flow;
mod functions;
mod harness;
mod lifecycle;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os(rustwren_core::worker::ENV_FD).is_some() {
        rustwren_core::worker::serve(functions::resolve);
    }
    let tests = [flow::TESTS, faults::TESTS, output::TESTS, lifecycle::TESTS].concat();
    harness::main(&tests)
}

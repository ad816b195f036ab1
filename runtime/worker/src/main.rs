//! `rustwren-runtime`: what runs on workers.

use std::process::ExitCode;

fn main() -> ExitCode {
    rustwren_worker::main()
}

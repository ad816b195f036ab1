//! `rustwren-runtime`: what runs on workers. On AWS Lambda it is the `bootstrap`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rustwren_worker::main()
}

//! `rustwren-runtime`; on AWS Lambda it is the `bootstrap`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "lambda")]
    if rustwren_worker::lambda::is_here() {
        return rustwren_worker::lambda::run();
    }
    eprintln!("rustwren-runtime: this is not a place that it knows: it is started by AWS Lambda");
    ExitCode::FAILURE
}

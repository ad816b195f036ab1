//! The program that is deployed, `rustwren-runtime`: the supervisor of function processes behind the front end of each
//! provider. Which front end it is shows the environment that it is started in.

use std::process::ExitCode;

mod backends;
#[cfg(feature = "lambda")]
pub mod lambda;

/// The program, from its environment to its exit code.
pub fn main() -> ExitCode {
    #[cfg(feature = "lambda")]
    if lambda::is_here() {
        return lambda::run();
    }
    eprintln!("rustwren-runtime: this is not a place that it knows: it is started by AWS Lambda");
    ExitCode::FAILURE
}

//! RustWren's runtime as a program: what is deployed to workers, the same for every user and every job.
//!
//! A *front end* takes invocations in whatever way a provider delivers them and hands them to a
//! [`Host`](rustwren_runtime::host::Host), which does the rest. [`serve`] is the one for everything that speaks HTTP; those
//! of AWS Lambda and of Azure Functions are known by the environment that they are started in.

pub mod args;
pub mod azure;
pub mod backends;
pub mod config;
#[cfg(feature = "aws")]
pub mod lambda;
mod log;
pub mod serve;
mod task_log;

use std::process::ExitCode;

use clap::Parser as _;
use rustwren_core::error::Result;

use crate::args::{Cli, Command};

/// The program, from its arguments to its exit code: 0 when it was asked to end, 1 when something went wrong, 2 when its
/// arguments do.
pub fn main() -> ExitCode {
    #[cfg(feature = "aws")]
    if lambda::is_here() {
        return lambda::run();
    }
    if azure::is_here() {
        return azure::run();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            return match error.print() {
                Ok(()) if !usage => ExitCode::SUCCESS,
                _ => ExitCode::from(2),
            };
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    log::start()?;
    match &cli.command {
        Command::Serve(args) => serve::main(args),
    }
}

//! The `rustwren` command.
//!
//! Data goes to stdout, everything else to stderr; see `exit.rs` for the exit codes and `docs/cli.md` for users.

mod args;
mod ask;
mod commands;
#[cfg(test)]
mod docs;
mod exit;
mod failure;
mod find;
mod human;
mod log;
mod output;
mod place;
mod provider;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command, ConfigCommand};
use crate::exit::Exit;
use crate::failure::Failure;

fn main() -> ExitCode {
    // `doctor` maps a closure of this program.
    rustwren::init();
    // The panic hook has printed what happened; what is left is to end with the code for a bug of ours.
    let exit = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        output::error("this is a bug in RustWren", Some("please report it with the lines above"));
        Exit::Internal
    });
    exit.into()
}

fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return match error.print() {
                Ok(()) => exit,
                Err(error) => Failure::Output(error).report(),
            };
        }
    };
    match dispatch(&cli) {
        Ok(exit) => exit,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    log::start(cli.verbose)?;
    let done = match &cli.command {
        Command::Config { command: ConfigCommand::Show { json } } => commands::config::show(cli, *json),
        Command::Config { command: ConfigCommand::Path } => commands::config::path(cli),
        Command::Init { provider, force, path } => commands::init::run(*provider, *force, path),
        Command::Setup(args) => commands::setup::run(cli, args),
        Command::Teardown(args) => commands::teardown::run(cli, args),
        Command::Logs(args) => commands::logs::run(cli, args),
        Command::Doctor { json } => commands::doctor::run(cli, *json),
        Command::Jobs { command } => return commands::jobs::run(cli, command),
        Command::Repro(args) => return commands::repro::run(cli, args),
        Command::Completions { shell } => commands::completions::run(*shell),
    };
    done.map(|()| Exit::Ok)
}

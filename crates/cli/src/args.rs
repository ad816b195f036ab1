//! What can be typed.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit;

mod jobs;
pub(crate) mod repro;
pub(crate) mod setup;

pub(crate) use jobs::{BudgetArgs, CleanArgs, JobsCommand};
pub(crate) use repro::ReproArgs;
pub(crate) use setup::{Consent, LogsArgs, SetupArgs, TeardownArgs};

/// Maps ordinary Rust functions over this machine or thousands of serverless workers.
#[derive(Debug, Parser)]
#[command(name = "rustwren", version, propagate_version = true, after_help = exit::help())]
pub(crate) struct Cli {
    /// Use this configuration file, which must exist, instead of searching for one
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,

    /// Log more to stderr; -vv and -vvv for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const JOBS_EXAMPLES: &str = "\
Examples:
  rustwren jobs list
  rustwren jobs attach 6742f1a3-09c2f1-0
  rustwren jobs clean --older-than 7d";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Write a configuration file in which every key is explained
    Init {
        /// The provider that it is for
        #[arg(long, value_enum, default_value_t = Provider::Local)]
        provider: Provider,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
        /// The file to write, or the folder to write it in
        #[arg(default_value = rustwren::__cli::config::FILE_NAME)]
        path: PathBuf,
    },
    /// Make what the configured providers need
    #[command(long_about = setup::SETUP, after_help = setup::SETUP_EXAMPLES)]
    Setup(SetupArgs),
    /// Remove what `rustwren setup` has made
    #[command(long_about = setup::TEARDOWN)]
    Teardown(TeardownArgs),
    /// Run a closure through the configured provider and tell how long each leg of its way took
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what workers and runtimes have logged at the provider
    #[command(long_about = setup::LOGS, after_help = setup::LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Look at jobs whose state is in storage, and steer them
    #[command(after_help = JOBS_EXAMPLES)]
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// Run a failed task again, here, as a worker runs it
    #[command(long_about = repro::ABOUT, after_help = repro::EXAMPLES)]
    Repro(ReproArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value that holds and where it comes from, as TOML, with secrets masked
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the path of the configuration file; nothing where there is none
    Path,
}

/// Providers with an annotated configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// This machine
    Local,
    /// Runtimes behind a URL
    Http,
    /// Faults on purpose, around any other provider
    Chaos,
    /// AWS: S3 and Lambda
    Aws,
    /// Google Cloud: Cloud Storage and Cloud Run
    Gcp,
    /// Azure: Blob storage and Functions
    Azure,
}

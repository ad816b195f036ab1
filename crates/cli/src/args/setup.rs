//! `rustwren setup`, `rustwren teardown`, `rustwren logs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rustwren::__cli::config::units::parse_duration;
use rustwren::provision::SetupOptions;

/// What `setup` says above its arguments in `--help`.
pub(crate) const SETUP: &str = "\
Make what the configured providers need: buckets, roles, functions, secrets, files.

Shows first what is there and what would change, and asks. What is as it should be is left alone, so that a second run \
changes nothing, and a run that was cut short is completed by the next. Where jobs can run afterwards, a closure is sent \
the whole way to prove it. Where there is no terminal to ask at, `--yes` is needed.";

/// What it says below.
pub(crate) const SETUP_EXAMPLES: &str = "\
Examples:
  rustwren setup --dry-run              what would be done
  rustwren setup --yes --json | jq -r '.providers[].next[]'
  rustwren setup --rotate               the next step in replacing the secret of HTTP workers";

/// What `teardown` says above its arguments in `--help`.
pub(crate) const TEARDOWN: &str = "\
Remove what `rustwren setup` has made, with the objects of jobs that are in it.

Shows first what would be removed, and asks. What RustWren has not made is left alone.";

/// What `logs` says above its arguments in `--help`.
pub(crate) const LOGS: &str = "\
Print what workers and runtimes have logged at the provider, oldest first.

What tasks print is shown by the program that runs the job, and is in the errors of tasks that fail; this is for what \
happens around them.";

/// What it says below.
pub(crate) const LOGS_EXAMPLES: &str = "\
Examples:
  rustwren logs --since 15m
  rustwren logs --follow --filter ERROR
  rustwren logs --json | jq -r .text";

#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    pub(crate) consent: Consent,
    /// The runtime's executable [default: rustwren-runtime beside this command]
    #[arg(long, value_name = "PATH")]
    pub(crate) runtime: Option<PathBuf>,
    /// Where to write files that you take further [default: as the provider says]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Take the next step in replacing the shared secret of HTTP workers: add a new one, or drop the old one
    #[arg(long)]
    pub(crate) rotate: bool,
}

impl SetupArgs {
    pub(crate) fn options(&self) -> SetupOptions {
        let mut options = SetupOptions::default();
        options.runtime.clone_from(&self.runtime);
        options.folder.clone_from(&self.folder);
        options.rotate = self.rotate;
        options
    }
}

#[derive(Debug, Args)]
pub(crate) struct TeardownArgs {
    #[command(flatten)]
    pub(crate) consent: Consent,
    /// Where `setup` wrote files, if it was told
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

impl TeardownArgs {
    pub(crate) fn options(&self) -> SetupOptions {
        let mut options = SetupOptions::default();
        options.folder.clone_from(&self.folder);
        options
    }
}

/// How a change that was planned becomes one that is made.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Consent {
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// How far back: 90s, 15m, 12h
    #[arg(long, value_name = "AGE", default_value = "1h", value_parser = parse_duration)]
    pub(crate) since: Duration,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Go on with what comes in, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print a JSON object for each line
    #[arg(long)]
    pub(crate) json: bool,
}

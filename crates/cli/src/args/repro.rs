//! `rustwren repro`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rustwren::__cli::config::units::{parse_duration, parse_size};

/// What `repro` says above its arguments in `--help`.
pub(crate) const ABOUT: &str = "\
Run a failed task again, here, as a worker runs it.

The task's input, its shared value and how it failed were kept in storage when it failed. Its program is the one at the \
path where it was started if that has not changed, else the one named with `--program`, else the one that was uploaded. \
The task runs in the foreground, with this terminal's stdout and stderr; then its outcome is compared with what was \
recorded. RUST_BACKTRACE=1 shows where it panics.";

/// What it says below.
pub(crate) const EXAMPLES: &str = "\
Examples:
  rustwren repro 6742f1a3-09c2f1-0 13
  RUST_BACKTRACE=1 rustwren repro 6742 13
  rustwren repro 6742 13 --program target/debug/render    a mended build, for #[remote] functions
  rustwren repro 6742 13 --debugger                       gdb, which stops where it panics
  rustwren repro 6742 13 --debugger='valgrind -q'
  rustwren repro 6742 13 --print                          the command, for an IDE's debugger";

#[derive(Debug, Args)]
pub(crate) struct ReproArgs {
    /// The job's id, or the beginning of it
    pub(crate) job: String,
    /// The task's index, as in its error
    pub(crate) index: u64,
    /// Run this build of the program
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
    /// Run it under a debugger: gdb, lldb, or any command that takes a program and its arguments at its end
    #[arg(long, value_name = "COMMAND", num_args = 0..=1, require_equals = true, default_missing_value = "gdb")]
    pub(crate) debugger: Option<String>,
    /// Do not run it; print the command that does
    #[arg(long, conflicts_with = "debugger")]
    pub(crate) print: bool,
    /// End it after this time; `none` lets it run [default: the job's own limit; none with `--debugger` and `--print`]
    #[arg(long, value_name = "TIME", value_parser = limit)]
    pub(crate) timeout: Option<Limit>,
    /// Memory it may take [default: `memory_limit` of the configuration]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,
    /// Write its output to this file, in RustWren's encoding
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
}

/// How long it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    After(Duration),
}

fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit::None);
    }
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than zero; `none` lets it run".to_owned()),
        Ok(time) => Ok(Limit::After(time)),
        Err(why) => Err(format!("{why}; a time looks like 30s or 1m30s, and `none` lets it run")),
    }
}

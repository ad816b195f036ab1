//! `rustwren jobs`.

use std::time::Duration;

use clap::{Args, Subcommand};
use rustwren::__cli::config::units::{parse_duration, parse_usd};
use rustwren::Usd;

const LIST: &str = "\
Durable, detached and resumable jobs are listed, and other jobs as long as they run. `--all` lists as well those that \
have ended and left something in storage: tasks that failed, for `rustwren repro`, or what a killed program did not \
take away.

States: starting (a driver was asked for and has not begun), running, abandoned (its driver is gone; `rustwren jobs \
attach` goes on with it), done (it ran through; tasks may have failed), failed (it was given up), cancelled, remains (of a \
job of which nothing can be used any more), unreadable.";

const LIST_EXAMPLES: &str = "\
Examples:
  rustwren jobs list
  rustwren jobs list --json | jq -r '.jobs[] | select(.state == \"abandoned\") | .id'";

const SHOW_EXAMPLES: &str = "\
Examples:
  rustwren jobs show 6742f1a3-09c2f1-0
  rustwren jobs show 6742            the only job whose id begins so
  rustwren jobs show 6742 --json | jq .failures";

const ATTACH: &str = "\
Shows a progress bar until the job ends, whoever drives it, here or on another machine. When its driver is gone, \
another one is started from the program in storage, and the job goes on where it stopped: results that are in storage \
are not made again. A job that has stopped at its budget goes on when it is given a larger one.

Ctrl-C leaves the job running. The exit code is the job's: 0 when every task has its result, 1 when tasks or the job \
failed, 7 when it has stopped at its budget, 130 when it was cancelled.";

const ATTACH_EXAMPLES: &str = "\
Examples:
  rustwren jobs attach 6742f1a3-09c2f1-0
  rustwren jobs attach 6742 && echo all there
  rustwren jobs attach 6742 --budget-usd 5";

const CANCEL: &str = "\
Asks the job's driver to stop and waits until it has. Results that are in storage stay there. A job without a driver is \
ended at once.";

const CANCEL_EXAMPLES: &str = "\
Examples:
  rustwren jobs cancel 6742f1a3-09c2f1-0 6742f1b0-55d0aa-0
  rustwren jobs cancel 6742 --no-wait";

const CLEAN: &str = "\
Deletes what jobs have in storage: inputs, results, failed tasks. Without ids, that of all jobs that have ended and of \
what killed programs have left; a job that could still go on (abandoned) is only deleted when it is named, or with \
`--all`, which also deletes uploaded programs that no job needs. A running job is never touched, also if it begins to run \
while this runs.

Says first what will go and how much it takes, and asks. Where there is no terminal to ask at, `--yes` is needed.";

const CLEAN_EXAMPLES: &str = "\
Examples:
  rustwren jobs clean                      asks before it deletes
  rustwren jobs clean --older-than 7d --yes
  rustwren jobs clean 6742f1a3-09c2f1-0    this one, results and all
  rustwren jobs clean --all --dry-run      what there is, and how much it takes";

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, newest first
    #[command(after_help = LIST_EXAMPLES, long_about = concat_about("List jobs, newest first", LIST))]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Also list jobs that are over and were not made to be found again
        #[arg(long)]
        all: bool,
    },
    /// Tell everything that is known of a job
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The job's id, or the beginning of it
        #[arg(value_name = "JOB")]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Watch a job until it ends, and go on with it if nobody does
    #[command(after_help = ATTACH_EXAMPLES, long_about = concat_about("Watch a job until it ends, and go on with it if nobody does", ATTACH))]
    Attach {
        /// The job's id, or the beginning of it
        #[arg(value_name = "JOB")]
        id: String,
        #[command(flatten)]
        budget: BudgetArgs,
    },
    /// Stop jobs, and keep their results
    #[command(after_help = CANCEL_EXAMPLES, long_about = concat_about("Stop jobs, and keep their results", CANCEL))]
    Cancel {
        /// The jobs' ids, or the beginnings of them
        #[arg(value_name = "JOB", required = true)]
        ids: Vec<String>,
        /// Ask, and do not wait until it is done
        #[arg(long)]
        no_wait: bool,
    },
    /// Delete what jobs have in storage
    #[command(after_help = CLEAN_EXAMPLES, long_about = concat_about("Delete what jobs have in storage", CLEAN))]
    Clean(CleanArgs),
}

/// A new budget; what the job has used up counts.
#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// Let the job cost so many US dollars in all, from its next driver on
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub(crate) budget_usd: Option<Usd>,
    /// Let the job make so many invocations in all
    #[arg(long, value_name = "N")]
    pub(crate) max_invocations: Option<u64>,
    /// Let the job take so much time from all its workers together: 90m, 12h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_worker_time: Option<Duration>,
}

fn dollars(text: &str) -> Result<Usd, String> {
    parse_usd(text.trim_start_matches('$'))
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct CleanArgs {
    /// The jobs' ids, or the beginnings of them; all that have ended where none is given
    #[arg(value_name = "JOB")]
    pub(crate) ids: Vec<String>,
    /// Only jobs that were last heard of so long ago: 90m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Also jobs that have not ended, unless they run
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    /// Only tell what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|why| format!("{why}; an age looks like 90m, 12h or 7d"))
}

fn concat_about(short: &str, long: &str) -> String {
    [short, ".\n\n", long].concat()
}

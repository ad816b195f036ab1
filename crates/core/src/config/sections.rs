//! The sections that do not depend on a backend: `[image]`, `[job]`, `[client]`, and the keys that choose backends.

use std::path::PathBuf;
use std::time::Duration;

use super::{KeyDoc, Kind, Settings};
use crate::error::Result;
use crate::scheduler::Budget;

/// The key outside all sections.
pub(crate) const PROVIDER: KeyDoc = KeyDoc::optional(
    "provider",
    Kind::Text,
    "as `backend` in each section says",
    "local",
    "Shorthand for `backend` in both [storage] and [compute]; a `backend` beside it goes before it.",
);

/// The key that [storage] and [compute] have with every backend.
pub(crate) const BACKEND: KeyDoc =
    KeyDoc::with_default("backend", Kind::Text, "local", "Name of the backend that serves this section.");

/// These sections and their keys, in the order in which documentation shows them.
pub(crate) const PLAIN: &[(&str, &[KeyDoc])] = &[("image", IMAGE), ("job", JOB), ("client", CLIENT)];

/// `[image]`: the program that workers run.
pub(crate) const IMAGE: &[KeyDoc] = &[
    KeyDoc::optional(
        "path",
        Kind::Path,
        "the program that starts the job",
        "target/aarch64-unknown-linux-gnu/release/render",
        "Another build of the program, for workers on another kind of machine than this one. Functions marked `#[remote]` are \
         found in it, closures and other functions are not. Where no program is sent, as in place on this machine, it is not \
         used.",
    ),
    KeyDoc::optional(
        "command",
        Kind::List,
        "nothing is run",
        "cargo,zigbuild,--release,--target,aarch64-unknown-linux-gnu.2.34",
        "What builds it: a program and its arguments, run in the current folder before the first job. What it prints goes to \
         stderr.",
    ),
];

/// `[job]`: defaults of every job, which its builder can change.
pub(crate) const JOB: &[KeyDoc] = &[
    KeyDoc::optional(
        "retries",
        Kind::Integer { min: 0, max: 1000 },
        "none after an error or a panic, up to three after a lost worker",
        "2",
        "How often an element is run again after a failed attempt, whatever the failure.",
    ),
    KeyDoc::optional("timeout", Kind::Duration, "no limit", "30s", "How long one element may run."),
    KeyDoc::optional(
        "chunk_size",
        Kind::Integer { min: 1, max: 1_000_000_000 },
        "adapted to the measured time of the tasks",
        "100",
        "How many elements travel in one invocation.",
    ),
    KeyDoc::optional(
        "workers",
        Kind::Integer { min: 1, max: 1_000_000 },
        "as many as the provider allows",
        "100",
        "How many workers one job may use at once.",
    ),
    KeyDoc::optional(
        "concurrency",
        Kind::Integer { min: 1, max: 65_536 },
        "one for plain functions, many for async ones",
        "4",
        "How many elements one worker works on at once: threads for plain functions, futures for async ones.",
    ),
    KeyDoc::optional(
        "budget_usd",
        Kind::Usd,
        "no limit",
        "2.5",
        "What one job may cost in US dollars, by the provider's published prices of workers' time and calls. The worst case of \
         what is under way counts, so something must limit how long invocations take: `timeout` here, or the provider.",
    ),
    KeyDoc::optional(
        "max_invocations",
        Kind::Integer { min: 1, max: u64::MAX },
        "no limit",
        "10000",
        "How many invocations one job may make, those that fail or are repeated included.",
    ),
    KeyDoc::optional(
        "max_worker_time",
        Kind::Duration,
        "no limit",
        "10h",
        "How much time one job may take from all its workers together. The worst case of what is under way counts, as for \
         `budget_usd`.",
    ),
    KeyDoc::optional(
        "lease",
        Kind::Duration,
        "15 seconds",
        "1m",
        "For how long whoever runs a durable job may give no sign of life before another one goes on with it. A sign is \
         given three times as often.",
    ),
];

/// Shorter, and drivers depose each other all the time.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// `[client]`: what the program that starts jobs shows.
pub(crate) const CLIENT: &[KeyDoc] = &[
    KeyDoc::with_default(
        "progress",
        Kind::Choice(&["auto", "always", "never"]),
        "auto",
        "When to show a progress bar on stderr: `auto` is on a terminal.",
    ),
    KeyDoc::with_default(
        "logs",
        Kind::Choice(&["all", "failed", "none"]),
        "all",
        "Whose output to show on stderr: of all tasks, of failed ones only (with their error), or of none.",
    ),
];

/// `[image]`: the program that workers run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImageConfig {
    /// Another build of the program; none for the one that starts the job.
    pub path: Option<PathBuf>,
    /// What builds it, with its arguments; empty where nothing is to be run.
    pub command: Vec<String>,
}

impl ImageConfig {
    pub(crate) fn resolve(settings: &Settings) -> Result<Self> {
        let (path, command) = (settings.get_path("path")?, settings.get_list("command")?);
        if path.is_none() && !command.is_empty() {
            return Err(settings
                .error("command", "builds a program of which nobody knows where it is")
                .with_hint("set `path` beside it"));
        }
        Ok(Self { path, command })
    }
}

/// `[job]`: what holds for a job unless its builder says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JobDefaults {
    /// How often an element is run again after a failed attempt; none to let the failure decide.
    pub retries: Option<u32>,
    /// How long one element may run; none for no limit.
    pub timeout: Option<Duration>,
    /// Elements per invocation; none to adapt.
    pub chunk_size: Option<u32>,
    /// Workers that one job may use at once; none for as many as the provider allows.
    pub workers: Option<usize>,
    /// Elements that one worker works on at once; none to let the kind of function decide.
    pub concurrency: Option<u32>,
    /// What a job may cost.
    pub budget: Budget,
    /// How long a sign of life of a durable job's driver holds.
    pub lease: Option<Duration>,
}

impl JobDefaults {
    pub(crate) fn resolve(settings: &Settings) -> Result<Self> {
        // The limits of each key keep the numbers within 32 bits.
        let small = |key| Ok::<_, crate::error::Error>(settings.get_u64(key)?.map(|number| number as u32));
        let timeout = settings.get_duration("timeout")?;
        if timeout == Some(Duration::ZERO) {
            return Err(settings
                .error("timeout", "must be more than zero")
                .with_hint("leave it out to let elements run without limit"));
        }
        let lease = settings.get_duration("lease")?;
        if lease.is_some_and(|lease| lease < SHORTEST_LEASE) {
            return Err(settings
                .error("lease", "must be at least 100ms")
                .with_hint("a driver that is slow for a moment would be taken for dead"));
        }
        let budget = Budget {
            invocations: settings.get_u64("max_invocations")?,
            worker_time: settings.get_duration("max_worker_time")?,
            cost: settings.get_usd("budget_usd")?,
        };
        Ok(Self {
            lease,
            budget,
            retries: small("retries")?,
            timeout,
            chunk_size: small("chunk_size")?,
            workers: small("workers")?.map(|workers| workers as usize),
            concurrency: small("concurrency")?,
        })
    }
}

/// When to show a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Where stderr is a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whose output to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Logs {
    /// What every task writes, as it writes it.
    #[default]
    All,
    /// What failed tasks wrote, with their error.
    Failed,
    /// None.
    None,
}

/// `[client]`: what the program that starts jobs shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientConfig {
    /// When to show a progress bar.
    pub progress: Progress,
    /// Whose output to show.
    pub logs: Logs,
}

impl ClientConfig {
    pub(crate) fn resolve(settings: &Settings) -> Result<Self> {
        Ok(Self {
            progress: match settings.get_str("progress")? {
                Some("always") => Progress::Always,
                Some("never") => Progress::Never,
                _ => Progress::Auto,
            },
            logs: match settings.get_str("logs")? {
                Some("failed") => Logs::Failed,
                Some("none") => Logs::None,
                _ => Logs::All,
            },
        })
    }
}

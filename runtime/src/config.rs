//! What can be configured of function processes, wherever they run.

use std::num::NonZero;
use std::time::Duration;

use rustwren_core::config::{KeyDoc, Kind, Settings};
use rustwren_core::error::Result;
use rustwren_core::image::ImageId;

use crate::PoolOptions;

/// How many run at once.
pub const WORKERS: KeyDoc = KeyDoc::optional(
    "workers",
    Kind::Integer { min: 1, max: 4096 },
    "one for each CPU core",
    "4",
    "How many function processes run at once.",
);
/// How much memory each may use.
pub const MEMORY_LIMIT: KeyDoc = KeyDoc::optional(
    "memory_limit",
    Kind::Size,
    "no limit",
    "512MB",
    "How much address space one function process may use. A task that needs more fails.",
);
/// The stack of their threads.
pub const STACK_SIZE: KeyDoc =
    KeyDoc::with_default("stack_size", Kind::Size, "8MiB", "The stack of each thread that runs tasks.");
/// How long they may take to start.
pub const START_TIMEOUT: KeyDoc = KeyDoc::with_default(
    "start_timeout",
    Kind::Duration,
    "10s",
    "How long a function process may take from its start until it asks for work.",
);
/// How long an invocation may last.
pub const MAX_DURATION: KeyDoc = KeyDoc::optional(
    "max_duration",
    Kind::Duration,
    "no limit",
    "15m",
    "How long one invocation may last, as clouds limit it (AWS Lambda: 15 minutes). What it has done by then counts, \
     and the rest goes on in the next; a task that alone takes longer fails.",
);
/// What of the environment they may see.
pub const PASS_ENV: KeyDoc = KeyDoc::with_default(
    "pass_env",
    Kind::List,
    "",
    "Variables with credentials that function processes may see (`*` stands for any characters). Variables \
     that look like credentials (such as `AWS_*`, `*_TOKEN`, `*_PASSWORD`) are removed unless listed here; all \
     others are passed.",
);

/// What helps against a task that takes longer than an invocation may last.
pub const LIFE_HINT: &str =
    "split it into smaller tasks, or raise `max_duration` in [compute] of the configuration";

/// Less than this, and threads of the standard library do not start.
const SMALLEST_STACK: u64 = 64 << 10;
/// More than this is taken for a mistake.
const LARGEST_STACK: u64 = 64 << 30;
/// Less than this, and no program starts.
const SMALLEST_MEMORY: u64 = 16 << 20;
/// Less than this is spent on handing over and back.
const SHORTEST_LIFE: Duration = Duration::from_millis(10);

/// The keys above, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Function processes at once; at least 1.
    pub workers: usize,
    /// Address space of one function process, in bytes.
    pub memory_limit: Option<u64>,
    /// Stack of each thread that runs tasks, in bytes.
    pub stack_size: usize,
    /// How long a function process may take until it asks for work.
    pub start_timeout: Duration,
    /// How long one invocation may last.
    pub max_duration: Option<Duration>,
    /// Patterns of variables with credentials that function processes may see; for
    /// [`is_withheld`](rustwren_core::env::is_withheld).
    pub pass_env: Vec<String>,
}

impl ProcessConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let workers = match settings.get_u64(WORKERS.name)? {
            Some(workers) => workers as usize,
            None => std::thread::available_parallelism().map_or(1, NonZero::get),
        };
        let stack_size = settings.get_size(STACK_SIZE.name)?.unwrap_or(8 << 20);
        if !(SMALLEST_STACK..=LARGEST_STACK).contains(&stack_size) {
            return Err(settings.error(STACK_SIZE.name, "must be from 64KiB to 64GiB"));
        }
        let memory_limit = settings.get_size(MEMORY_LIMIT.name)?;
        if memory_limit.is_some_and(|bytes| bytes < SMALLEST_MEMORY) {
            return Err(
                settings.error(MEMORY_LIMIT.name, "must be at least 16MiB: no program starts in less")
            );
        }
        let start_timeout = settings.get_duration(START_TIMEOUT.name)?.unwrap_or(Duration::from_secs(10));
        if start_timeout.is_zero() {
            return Err(settings.error(START_TIMEOUT.name, "must be more than zero"));
        }
        let max_duration = settings.get_duration(MAX_DURATION.name)?;
        if max_duration.is_some_and(|limit| limit < SHORTEST_LIFE) {
            return Err(settings.error(MAX_DURATION.name, "must be at least 10ms"));
        }
        Ok(Self {
            workers,
            memory_limit,
            stack_size: stack_size as usize,
            start_timeout,
            max_duration,
            pass_env: settings.get_list(PASS_ENV.name)?,
        })
    }

    /// How to run function processes of this image so.
    pub fn pool_options(&self, image: ImageId) -> PoolOptions {
        let mut options = PoolOptions::new(image);
        options.workers = self.workers;
        options.memory_limit = self.memory_limit;
        options.stack_size = self.stack_size as u64;
        options.start_timeout = self.start_timeout;
        options.pass_env.clone_from(&self.pass_env);
        options.life_hint = LIFE_HINT;
        options
    }
}

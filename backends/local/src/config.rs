//! What can be configured of function processes on this machine.

use std::num::NonZero;
use std::time::Duration;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;

/// `[compute]` with `backend = "local"`.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "local",
    section: Section::Compute,
    keys: &[
        KeyDoc::optional(
            "workers",
            Kind::Integer { min: 1, max: 4096 },
            "one for each CPU core",
            "4",
            "How many function processes run at once.",
        ),
        KeyDoc::optional(
            "memory_limit",
            Kind::Size,
            "no limit",
            "512MB",
            "How much address space one function process may use. A task that needs more fails.",
        ),
        KeyDoc::with_default("stack_size", Kind::Size, "8MiB", "The stack of each thread that runs tasks."),
        KeyDoc::with_default(
            "start_timeout",
            Kind::Duration,
            "10s",
            "How long a function process may take from its start until it asks for work.",
        ),
        KeyDoc::optional(
            "max_duration",
            Kind::Duration,
            "no limit",
            "15m",
            "How long one invocation may last, as clouds limit it (AWS Lambda: 15 minutes). What it has done by then counts, \
             and the rest goes on in the next; a task that alone takes longer fails.",
        ),
        KeyDoc::with_default(
            "image",
            Kind::Choice(&["direct", "packed"]),
            "direct",
            "How the program is started: `direct` starts the executable where it lies; `packed` packs it, puts it \
             into storage and fetches it from there, as clouds do.",
        ),
        KeyDoc::with_default(
            "pass_env",
            Kind::List,
            "",
            "Variables with credentials that function processes may see (`*` stands for any characters). Variables \
             that look like credentials (such as `AWS_*`, `*_TOKEN`, `*_PASSWORD`) are removed unless listed here; all \
             others are passed.",
        ),
    ],
};

/// How a function process's program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageMode {
    /// The executable is started where it lies.
    Direct,
    /// The executable is packed, stored and fetched, as clouds do.
    Packed,
}

/// `[compute]` of the local backend, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeConfig {
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
    /// How the program is started.
    pub image: ImageMode,
    /// Patterns of variables with credentials that function processes may see; for
    /// [`is_withheld`](rustwren_core::env::is_withheld).
    pub pass_env: Vec<String>,
}

/// Less than this, and threads of the standard library do not start.
const SMALLEST_STACK: u64 = 64 << 10;
/// More than this is taken for a mistake.
const LARGEST_STACK: u64 = 64 << 30;
/// Less than this, and no program starts.
const SMALLEST_MEMORY: u64 = 16 << 20;
/// Less than this is spent on handing over and back.
const SHORTEST_LIFE: Duration = Duration::from_millis(10);

impl ComputeConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let workers = match settings.get_u64("workers")? {
            Some(workers) => workers as usize,
            None => std::thread::available_parallelism().map_or(1, NonZero::get),
        };
        let stack_size = settings.get_size("stack_size")?.unwrap_or(8 << 20);
        if !(SMALLEST_STACK..=LARGEST_STACK).contains(&stack_size) {
            return Err(settings.error("stack_size", "must be from 64KiB to 64GiB"));
        }
        let memory_limit = settings.get_size("memory_limit")?;
        if memory_limit.is_some_and(|bytes| bytes < SMALLEST_MEMORY) {
            return Err(settings.error("memory_limit", "must be at least 16MiB: no program starts in less"));
        }
        let start_timeout = settings.get_duration("start_timeout")?.unwrap_or(Duration::from_secs(10));
        if start_timeout.is_zero() {
            return Err(settings.error("start_timeout", "must be more than zero"));
        }
        let max_duration = settings.get_duration("max_duration")?;
        if max_duration.is_some_and(|limit| limit < SHORTEST_LIFE) {
            return Err(settings.error("max_duration", "must be at least 10ms"));
        }
        Ok(Self {
            workers,
            memory_limit,
            stack_size: stack_size as usize,
            start_timeout,
            max_duration,
            image: match settings.get_str("image")? {
                Some("packed") => ImageMode::Packed,
                _ => ImageMode::Direct,
            },
            pass_env: settings.get_list("pass_env")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use rustwren_directory::config::STORAGE;

    use super::*;

    fn compute(pairs: &[(&'static str, &str)]) -> Result<ComputeConfig> {
        ComputeConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", pairs.iter().copied())?)
    }

    #[test]
    fn defaults() {
        let config = compute(&[]).unwrap();
        assert!(config.workers >= 1);
        assert_eq!(config.memory_limit, None);
        assert_eq!(config.stack_size, 8 << 20);
        assert_eq!(config.start_timeout, Duration::from_secs(10));
        assert_eq!((config.max_duration, config.image), (None, ImageMode::Direct));
        assert!(config.pass_env.is_empty());
    }

    #[test]
    fn values() {
        let config = compute(&[
            ("workers", "3"),
            ("memory_limit", "1GiB"),
            ("stack_size", "2MiB"),
            ("start_timeout", "500ms"),
            ("max_duration", "15m"),
            ("image", "packed"),
            ("pass_env", "AWS_*,TOKEN"),
        ])
        .unwrap();
        let expected = ComputeConfig {
            workers: 3,
            memory_limit: Some(1 << 30),
            stack_size: 2 << 20,
            start_timeout: Duration::from_millis(500),
            max_duration: Some(Duration::from_mins(15)),
            image: ImageMode::Packed,
            pass_env: vec!["AWS_*".to_owned(), "TOKEN".to_owned()],
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (key, value) in [
            ("workers", "0"),
            ("memory_limit", "1MB"),
            ("stack_size", "1kB"),
            ("stack_size", "1TB"),
            ("start_timeout", "0s"),
            ("max_duration", "9ms"),
            ("image", "wasm"),
        ] {
            let error = compute(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")), "{error}");
        }
    }

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/local.toml");
        let wrong = rustwren_core::config::reference::check_annotated(text, &[STORAGE, COMPUTE]);
        assert!(wrong.is_empty(), "config/local.toml:\n{}", wrong.join("\n"));
    }
}

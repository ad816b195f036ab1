//! What can be configured of function processes on this machine.

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;
use rustwren_core::price::Usd;
use rustwren_runtime::config::{self, ProcessConfig};

/// `[compute]` with `backend = "local"`.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "local",
    section: Section::Compute,
    keys: &[
        config::WORKERS,
        config::MEMORY_LIMIT,
        config::STACK_SIZE,
        config::START_TIMEOUT,
        config::MAX_DURATION,
        KeyDoc::optional(
            "price_per_second",
            Kind::Usd,
            "its time is not priced, and jobs cannot have a `budget_usd`",
            "0.00002",
            "What a second of one function process costs, in US dollars, where you want this machine's time to be reckoned.",
        ),
        KeyDoc::with_default(
            "image",
            Kind::Choice(&["direct", "packed"]),
            "direct",
            "How the program is started: `direct` starts the executable where it lies; `packed` packs it, puts it \
             into storage and fetches it from there, as clouds do.",
        ),
        config::PASS_ENV,
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
    /// How function processes are run.
    pub processes: ProcessConfig,
    /// What a second of one function process costs.
    pub price_per_second: Option<Usd>,
    /// How the program is started.
    pub image: ImageMode,
}

impl ComputeConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let image = match settings.get_str("image")? {
            Some("packed") => ImageMode::Packed,
            _ => ImageMode::Direct,
        };
        let price_per_second = settings.get_usd("price_per_second")?;
        Ok(Self { processes: ProcessConfig::from_settings(settings)?, price_per_second, image })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustwren_directory::config::STORAGE;

    use super::*;

    fn compute(pairs: &[(&'static str, &str)]) -> Result<ComputeConfig> {
        ComputeConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", pairs.iter().copied())?)
    }

    #[test]
    fn defaults() {
        let config = compute(&[]).unwrap();
        assert_eq!(config.image, ImageMode::Direct);
        let processes = config.processes;
        assert!(processes.workers >= 1);
        assert_eq!((processes.memory_limit, processes.max_duration), (None, None));
        assert_eq!(processes.stack_size, 8 << 20);
        assert_eq!(processes.start_timeout, Duration::from_secs(10));
        assert!(processes.pass_env.is_empty());
    }

    #[test]
    fn values() {
        let config = compute(&[
            ("workers", "3"),
            ("memory_limit", "1GiB"),
            ("stack_size", "2MiB"),
            ("start_timeout", "500ms"),
            ("max_duration", "15m"),
            ("price_per_second", "0.00002"),
            ("image", "packed"),
            ("pass_env", "AWS_*,TOKEN"),
        ])
        .unwrap();
        let processes = ProcessConfig {
            workers: 3,
            memory_limit: Some(1 << 30),
            stack_size: 2 << 20,
            start_timeout: Duration::from_millis(500),
            max_duration: Some(Duration::from_mins(15)),
            pass_env: vec!["AWS_*".to_owned(), "TOKEN".to_owned()],
        };
        let price_per_second = Some(Usd::from_nanos(20_000));
        assert_eq!(config, ComputeConfig { processes, price_per_second, image: ImageMode::Packed });
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

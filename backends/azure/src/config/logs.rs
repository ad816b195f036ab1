//! Keys about the lines that workers write: where setup has them kept, for how long, and where they are read.

use std::time::Duration;

use rustwren_core::config::{KeyDoc, Kind, Settings};
use rustwren_core::error::Result;

/// Whether they are kept.
pub(super) const LOGS: KeyDoc = KeyDoc::with_default(
    "logs",
    Kind::Bool,
    "true",
    "Whether setup has what workers write kept, in a Log Analytics workspace by Application Insights, where `rustwren logs` \
     reads it. Azure charges for what comes in (docs/azure.md).",
);

/// For how long.
pub(super) const LOG_RETENTION: KeyDoc = KeyDoc::with_default(
    "log_retention",
    Kind::Duration,
    "30d",
    "How long lines of workers are kept, from 4 to 730 whole days. Up to 90 cost nothing beside what came in.",
);

/// How much of it.
pub(super) const LOG_CAP: KeyDoc = KeyDoc::with_default(
    "log_cap",
    Kind::Size,
    "1GB",
    "How much may come in within a day, at least 23MB. What workers write beyond that is lost until the next day. `0B`: no \
     limit.",
);

/// Where lines are read.
pub(super) const LOG_ENDPOINT: KeyDoc = KeyDoc::with_default(
    "log_endpoint",
    Kind::Text,
    "https://api.loganalytics.io",
    "Address of the API that `rustwren logs` asks: another one in sovereign clouds.",
);

const DAY: u64 = 86_400;
/// The least that a day can be limited to, in bytes.
const LEAST_CAP: u64 = 23_000_000;

/// What becomes of lines that workers write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogsConfig {
    /// How many days they are kept: 4 to 730.
    pub days: u64,
    /// How many bytes may come in within a day.
    pub cap: Option<u64>,
}

impl LogsConfig {
    /// None where nothing is kept. Errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>> {
        let kept = settings.get_duration("log_retention")?.unwrap_or_default();
        let days = kept.as_secs() / DAY;
        if kept != Duration::from_secs(days * DAY) || !(4..=730).contains(&days) {
            return Err(settings.error("log_retention", "must be from 4d to 730d, in whole days"));
        }
        let cap = settings.get_size("log_cap")?.filter(|bytes| *bytes > 0);
        if cap.is_some_and(|bytes| bytes < LEAST_CAP) {
            return Err(settings.error("log_cap", "must be at least 23MB, or 0B for no limit"));
        }
        Ok(settings.get_bool("logs")?.unwrap_or(true).then_some(Self { days, cap }))
    }
}

#[cfg(test)]
mod tests {
    use rustwren_core::config::Settings;

    use super::*;
    use crate::config::COMPUTE;

    fn logs(pairs: &[(&'static str, &str)]) -> Result<Option<LogsConfig>> {
        LogsConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", pairs.iter().copied())?)
    }

    #[test]
    fn values() {
        let kept = |days, cap| Some(LogsConfig { days, cap });
        assert_eq!(logs(&[]).unwrap(), kept(30, Some(1_000_000_000)));
        assert_eq!(logs(&[("log_retention", "4d"), ("log_cap", "0B")]).unwrap(), kept(4, None));
        assert_eq!(logs(&[("log_cap", "23MB")]).unwrap(), kept(30, Some(23_000_000)));
        assert_eq!(logs(&[("logs", "false")]).unwrap(), None);
        for (key, value) in [
            ("log_retention", "3d"),
            ("log_retention", "731d"),
            ("log_retention", "36h"),
            ("log_cap", "22MB"),
        ] {
            let error = logs(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")), "{error}");
        }
    }
}

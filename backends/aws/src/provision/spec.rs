//! What is to be there, as the configuration says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use rustwren_core::config::{Settings, Setup};
use rustwren_core::env;
use rustwren_core::error::{Error, ErrorKind, Result};

use super::mark::{self, Tags};
use super::policy::Objects;
use crate::config::{ComputeConfig, StorageConfig};

const DAY: Duration = Duration::from_hours(24);

/// How long CloudWatch can be told to keep logs, in days.
const RETENTIONS: [i32; 15] = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731];

/// The bucket, or what is used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketSpec {
    pub(crate) config: StorageConfig,
    pub(crate) objects: Objects,
    /// Whether it is made and removed.
    pub(crate) make: bool,
    /// After how many days data of jobs are removed.
    pub(crate) keep_days: Option<i32>,
    pub(crate) tags: Tags,
}

/// The function with all that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WorkerSpec {
    pub(crate) config: ComputeConfig,
    /// The ARN of a role of somebody else's.
    pub(crate) role: Option<String>,
    pub(crate) reserved: Option<i32>,
    pub(crate) log_days: i32,
    pub(crate) tags: Tags,
    /// Of the function, but for what is known only once AWS is reached.
    pub(crate) environment: BTreeMap<String, String>,
    /// Whether tasks are given the worker's credentials, and so may start jobs.
    pub(crate) nested: bool,
}

impl BucketSpec {
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self> {
        let config = StorageConfig::from_settings(settings)?;
        let prefix = config.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
        // Policies would take them for something else.
        if prefix.contains(['*', '?', '$']) {
            return Err(
                settings.error("prefix", "must not have `*`, `?` or `$` in it for setup: policies name it")
            );
        }
        Ok(Self {
            objects: Objects { bucket: config.bucket.clone(), prefix },
            make: settings.get_bool("make_bucket")?.unwrap_or(true),
            keep_days: days(settings, "keep_jobs")?.filter(|&days| days > 0),
            tags: mark::wanted(settings)?,
            config,
        })
    }

    /// What the worker is told of the storage.
    fn environment(&self) -> BTreeMap<String, String> {
        let StorageConfig { access, bucket, prefix, path_style, parts } = &self.config;
        let mut set = BTreeMap::new();
        let mut put = |key: &str, value: String| drop(set.insert(variable("STORAGE", key), value));
        put("BACKEND", "aws".to_owned());
        put("BUCKET", bucket.clone());
        put("PREFIX", prefix.as_ref().map(ToString::to_string).unwrap_or_default());
        put("PATH_STYLE", path_style.to_string());
        put("PART_SIZE", format!("{}B", parts.size));
        put("PARALLEL", parts.parallel.to_string());
        if let Some(endpoint) = &access.endpoint {
            put("ENDPOINT", endpoint.clone());
        }
        set
    }
}

impl WorkerSpec {
    pub(crate) fn from_settings(
        setup: &Setup,
        settings: &Settings,
        bucket: Option<&BucketSpec>,
    ) -> Result<Self> {
        let config = ComputeConfig::from_settings(settings)?;
        let Some(bucket) = bucket else {
            let storage = setup.storage.backend().unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Config,
                format!("workers on AWS cannot be set up for storage `{storage}`"),
            )
            .with_hint("set `backend = \"aws\"` in [storage]"));
        };
        let role = settings.get_str("role")?.map(str::to_owned);
        if role.as_ref().is_some_and(|role| !(role.starts_with("arn:") && role.contains(":role/"))) {
            return Err(settings.error("role", "must be a role's ARN: arn:aws:iam::123456789012:role/name"));
        }
        let log_days = days(settings, "log_retention")?.unwrap_or(14);
        if !RETENTIONS.contains(&log_days) {
            let known = RETENTIONS.map(|days| days.to_string()).join(", ");
            return Err(settings.error("log_retention", format!("must be one of {known} days")));
        }
        let mut environment = bucket.environment();
        environment.insert(variable("COMPUTE", "BACKEND"), "aws".to_owned());
        if !config.pass_env.is_empty() {
            environment.insert(variable("COMPUTE", "PASS_ENV"), config.pass_env.join(","));
        }
        Ok(Self {
            nested: !env::is_withheld(OsStr::new("AWS_ACCESS_KEY_ID"), &config.pass_env),
            reserved: settings.get_u64("reserved")?.map(|reserved| reserved as i32),
            tags: mark::wanted(settings)?,
            role,
            log_days,
            environment,
            config,
        })
    }

    /// The role that setup makes. The region is in its name because roles have none: a function of the same name in
    /// another region has a role of its own.
    pub(crate) fn own_role(&self, region: &str) -> Option<String> {
        self.role.is_none().then(|| format!("{}-{region}", self.config.function))
    }
}

/// The variable that sets a key of the configuration.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("{}{section}__{key}", env::OVERRIDE_PREFIX)
}

/// A time span of whole days.
fn days(settings: &Settings, key: &str) -> Result<Option<i32>> {
    let Some(span) = settings.get_duration(key)? else { return Ok(None) };
    let days = span.as_secs() / DAY.as_secs();
    match i32::try_from(days) {
        Ok(whole) if DAY * whole.unsigned_abs() == span && whole <= 36_500 => Ok(Some(whole)),
        _ => Err(settings.error(key, "must be whole days, at most 36500: 30d")),
    }
}

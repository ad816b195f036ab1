//! `[compute]` with `backend = "aws"`: the Lambda function that runs tasks, as `rustwren setup` makes it and as jobs
//! call it.

use std::time::Duration;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;
use rustwren_core::image::Platform;
use rustwren_core::price::{PRICES, Price, PriceTable};

use super::setup::{FUNCTION_TAGS, LOG_RETENTION, RESERVED, ROLE};
use super::{ENDPOINT, PROFILE, REGION};
use crate::client::Access;

/// `[compute]` with `backend = "aws"`.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "aws",
    section: Section::Compute,
    keys: &[
        KeyDoc::with_default("function", Kind::Text, "rustwren", "The name of the Lambda function."),
        REGION,
        PROFILE,
        ENDPOINT,
        KeyDoc::with_default(
            "workers",
            Kind::Integer { min: 1, max: 100_000 },
            "1000",
            "How many invocations run at once. An account has 1,000 per region at first, a new one often fewer; where that is \
             less than this, Lambda refuses the rest and jobs go on with what there is.",
        ),
        KeyDoc::with_default(
            "timeout",
            Kind::Duration,
            "15m",
            "How long one invocation may last: whole seconds, at most 15 minutes. What it has done by then counts, and the rest \
             goes on in the next; a task that alone takes longer fails.",
        ),
        KeyDoc::with_default(
            "memory",
            Kind::Size,
            "1769MiB",
            "Memory of one worker, from 128MiB to 10240MiB. Lambda gives computing power in proportion: 1769MiB are one \
             processor.",
        ),
        KeyDoc::with_default(
            "tmp",
            Kind::Size,
            "512MiB",
            "Room for files in `/tmp` of one worker, from 512MiB to 10240MiB. Programs are kept there in up to half of it.",
        ),
        KeyDoc::with_default(
            "architecture",
            Kind::Choice(&["x86_64", "arm64"]),
            "x86_64",
            "The processors of the workers. The program must be built for them.",
        ),
        KeyDoc::with_default(
            "pass_env",
            Kind::List,
            "",
            "Variables with credentials that tasks may see (`*` stands for any characters). A worker keeps the function's own \
             credentials (`AWS_*`) and whatever else looks like some to itself unless listed here: list `AWS_*` where tasks \
             call AWS, start jobs or are detached.",
        ),
        PRICES,
        ROLE,
        RESERVED,
        LOG_RETENTION,
        FUNCTION_TAGS,
    ],
};

/// The longest that Lambda lets an invocation last.
const LONGEST: Duration = Duration::from_mins(15);
/// Lambda counts memory in these, and calls them MB.
const MIB: u64 = 1 << 20;

/// The processors of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`
    X86_64,
    /// `arm64`
    Arm64,
}

impl Architecture {
    /// As target triples have it.
    pub fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// `[compute]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeConfig {
    /// Where, and as whom.
    pub access: Access,
    /// The function's name.
    pub function: String,
    /// Invocations at once; at least 1.
    pub workers: usize,
    /// How long one invocation may last, in whole seconds.
    pub timeout: Duration,
    /// Memory of one worker, in what Lambda calls MB.
    pub memory_mb: u32,
    /// Room in `/tmp` of one worker, in what Lambda calls MB.
    pub tmp_mb: u32,
    /// The workers' processors.
    pub architecture: Architecture,
    /// Patterns of variables with credentials that tasks may see.
    pub pass_env: Vec<String>,
    /// What a worker costs, where that is known.
    pub price: Option<Price>,
}

impl ComputeConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let function = settings.get_str("function")?.unwrap_or_default().to_owned();
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if function.is_empty() || function.len() > 64 || !function.chars().all(valid) {
            return Err(settings.error(
                "function",
                "must be the function's name: up to 64 letters, digits, dashes and underscores",
            ));
        }
        let timeout = settings.get_duration("timeout")?.unwrap_or(LONGEST);
        if timeout.is_zero() || timeout > LONGEST || timeout.subsec_nanos() != 0 {
            return Err(settings.error("timeout", "must be whole seconds, from 1s to 15m"));
        }
        let architecture = match settings.get_str("architecture")? {
            Some("arm64") => Architecture::Arm64,
            _ => Architecture::X86_64,
        };
        let memory_mb = megabytes(settings, "memory", 128, 1769)?;
        let prices = PriceTable::of_settings(settings)?;
        Ok(Self {
            access: Access::from_settings(settings)?,
            function,
            workers: settings.get_u64("workers")?.unwrap_or(1000) as usize,
            timeout,
            memory_mb,
            tmp_mb: megabytes(settings, "tmp", 512, 512)?,
            architecture,
            pass_env: settings.get_list("pass_env")?,
            price: prices.price(COMPUTE.name, architecture.target(), u64::from(memory_mb), 0.0),
        })
    }

    /// What the workers run on: Amazon Linux 2023, whose C library is 2.34.
    pub fn platform(&self) -> Platform {
        Platform {
            name: "AWS Lambda (provided.al2023)".to_owned(),
            arch: self.architecture.target().to_owned(),
            glibc: Some((2, 34)),
        }
    }
}

fn megabytes(settings: &Settings, key: &str, least: u64, default: u64) -> Result<u32> {
    let bytes = settings.get_size(key)?.unwrap_or(default * MIB);
    let whole = bytes / MIB;
    if bytes % MIB != 0 || !(least..=10_240).contains(&whole) {
        return Err(settings.error(key, format!("must be whole MiB, from {least}MiB to 10240MiB")));
    }
    Ok(whole as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(pairs: &[(&'static str, &str)]) -> Result<ComputeConfig> {
        ComputeConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", pairs.iter().copied())?)
    }

    #[test]
    fn defaults() {
        let expected = ComputeConfig {
            access: Access::default(),
            function: "rustwren".to_owned(),
            workers: 1000,
            timeout: LONGEST,
            memory_mb: 1769,
            tmp_mb: 512,
            architecture: Architecture::X86_64,
            pass_env: Vec::new(),
            price: compute(&[]).unwrap().price,
        };
        assert_eq!(compute(&[]).unwrap(), expected);
        let price = expected.price.unwrap();
        assert!((price.per_second() - 0.000_016_666_7 * 1769.0 / 1024.0).abs() < 1e-12, "{price:?}");
        assert_eq!(expected.platform().arch, "x86_64");
    }

    #[test]
    fn values() {
        let config = compute(&[
            ("function", "my_fn-2"),
            ("region", "eu-west-1"),
            ("workers", "10000"),
            ("timeout", "90s"),
            ("memory", "10GiB"),
            ("tmp", "1GiB"),
            ("architecture", "arm64"),
            ("pass_env", "AWS_*"),
        ])
        .unwrap();
        let expected = ComputeConfig {
            access: Access { region: Some("eu-west-1".to_owned()), ..Access::default() },
            function: "my_fn-2".to_owned(),
            workers: 10_000,
            timeout: Duration::from_secs(90),
            memory_mb: 10_240,
            tmp_mb: 1024,
            architecture: Architecture::Arm64,
            pass_env: vec!["AWS_*".to_owned()],
            price: config.price,
        };
        assert_eq!(config, expected);
        assert_eq!(config.platform().arch, "aarch64");
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (key, value) in [
            ("function", ""),
            ("function", "arn:aws:lambda:x"),
            ("workers", "0"),
            ("timeout", "0s"),
            ("timeout", "1500ms"),
            ("timeout", "16m"),
            ("memory", "64MiB"),
            ("memory", "1000kB"),
            ("tmp", "256MiB"),
            ("tmp", "11GiB"),
            ("architecture", "riscv"),
            ("endpoint", "localhost"),
        ] {
            let error = compute(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")), "{error}");
        }
    }
}

//! `[compute]` with `backend = "gcp"`: the service that runs tasks, as jobs call it.

use std::path::PathBuf;
use std::time::Duration;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;
use rustwren_core::image::Platform;
use rustwren_core::price::{PRICES, Price, PriceTable};

/// `[compute]` with `backend = "gcp"`.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "gcp",
    section: Section::Compute,
    keys: &[
        KeyDoc::optional(
            "project",
            Kind::Text,
            "only needed for `rustwren setup`, and without `url`",
            "my-project",
            "The id of the project.",
        ),
        KeyDoc::optional(
            "region",
            Kind::Text,
            "only needed for `rustwren setup`, and without `url`",
            "europe-west1",
            "The region.",
        ),
        KeyDoc::with_default("service", Kind::Text, "rustwren", "The name of the service or function."),
        KeyDoc::optional(
            "url",
            Kind::Text,
            "Google is asked for it, by project, region and service",
            "https://rustwren-123456789012.europe-west1.run.app",
            "The address of the service or function.",
        ),
        KeyDoc::with_default(
            "route",
            Kind::Choice(&["run", "functions"]),
            "run",
            "How the workers were deployed: `run` is a Cloud Run service of RustWren's runtime, `functions` a Cloud Run function \
             with a small program of Node in front of it.",
        ),
        KeyDoc::with_default(
            "auth",
            Kind::Choice(&["id_token", "none"]),
            "id_token",
            "How calls prove who makes them: by an ID token of the credentials that all tools of Google use, or not at all, \
             where the service lets everybody in.",
        ),
        KeyDoc::optional(
            "audience",
            Kind::Text,
            "the address in `url`",
            "https://rustwren-123456789012.europe-west1.run.app",
            "Whom ID tokens are for, where the service expects another name than its address.",
        ),
        KeyDoc::optional(
            "metadata",
            Kind::Text,
            "as the credentials say: GOOGLE_APPLICATION_CREDENTIALS, gcloud's own, or the metadata server of Google's machines",
            "http://127.0.0.1:8081",
            "Address of a metadata server that gives tokens: for calls of workers, and for control planes.",
        ),
        KeyDoc::optional(
            "tls_ca",
            Kind::Path,
            "the certificates that this machine trusts",
            "/etc/rustwren/ca.pem",
            "Certificates, in PEM form, one of which must have signed the server's.",
        ),
        KeyDoc::with_default(
            "workers",
            Kind::Integer { min: 1, max: 100_000 },
            "100",
            "How many invocations run at once. A service has at most 100 instances unless it is told otherwise; where that is \
             less than this, Google refuses the rest and jobs go on with what there is.",
        ),
        KeyDoc::with_default(
            "timeout",
            Kind::Duration,
            "5m",
            "How long one invocation may last: what the service's own limit is, whole seconds, at most 1h. What it has done a \
             little before that counts, and the rest goes on in the next; a task that alone takes longer fails.",
        ),
        KeyDoc::with_default(
            "start_timeout",
            Kind::Duration,
            "4m",
            "How long the beginning of an answer is waited for: Google starts instances meanwhile.",
        ),
        KeyDoc::with_default(
            "cpu",
            Kind::Integer { min: 1, max: 8 },
            "1",
            "Processors of one worker: 1, 2, 4 or 8, and with 4 or more at least 2GiB of memory.",
        ),
        KeyDoc::with_default(
            "memory",
            Kind::Size,
            "2GiB",
            "Memory of one worker, from 512MiB to 32GiB. Programs and files in `/tmp` lie in it.",
        ),
        PRICES,
        KeyDoc::optional(
            "service_account",
            Kind::Text,
            "`rustwren setup` makes one that may use the bucket and nothing else",
            "workers@my-project.iam.gserviceaccount.com",
            "The service account that workers run as, made by somebody else.",
        ),
        KeyDoc::with_default(
            "callers",
            Kind::List,
            "",
            "Who may run jobs on the service besides those who may call every service of the project, each as Google's \
             policies have it: `serviceAccount:ADDRESS`, `user:ADDRESS`, `group:ADDRESS`.",
        ),
        KeyDoc::optional(
            "endpoint",
            Kind::Text,
            "Google Cloud itself",
            "http://127.0.0.1:8082",
            "Address of another service that speaks the language of Google's control planes, each below the name of its host.",
        ),
        KeyDoc::optional(
            "anonymous",
            Kind::Bool,
            "true with an `endpoint` that begins with `http://`, else false",
            "true",
            "Whether control planes are called without credentials, as servers for tests want it.",
        ),
    ],
};

/// The longest that Google lets a request last.
const LONGEST: Duration = Duration::from_hours(1);
const MIB: u64 = 1 << 20;

/// How workers are deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A Cloud Run service of the runtime.
    Run,
    /// A function with a shim in front of the runtime.
    Functions,
}

/// `[compute]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeConfig {
    /// Where the workers are, if that was said.
    pub url: Option<String>,
    /// What they are called.
    pub service: String,
    /// How they were deployed.
    pub route: Route,
    /// Whether calls carry ID tokens.
    pub proves: bool,
    /// Whom those are for, in place of the address.
    pub audience: Option<String>,
    /// A metadata server of one's own.
    pub metadata: Option<String>,
    /// Certificates that are trusted instead of the machine's.
    pub tls_ca: Option<PathBuf>,
    /// Invocations at once; at least 1.
    pub workers: usize,
    /// How long one invocation may last, in whole seconds.
    pub timeout: Duration,
    /// How long the beginning of an answer may take.
    pub start_timeout: Duration,
    /// What a worker costs, where that is known.
    pub price: Option<Price>,
}

impl ComputeConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let url = settings.get_str("url")?.map(|url| url.trim_end_matches('/').to_owned());
        let proves = settings.get_str("auth")? != Some("none");
        if let Some(url) = url.as_ref().filter(|_| proves)
            && !url.starts_with("https://")
            && !is_here(url)
        {
            return Err(settings.error(
                "url",
                "must begin with `https://`: anybody on the way could read the ID tokens and use them",
            ));
        }
        let service = settings.get_str("service")?.unwrap_or_default().to_owned();
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = service.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || service.ends_with('-') || service.len() > 49 || !service.chars().all(valid) {
            return Err(settings.error(
                "service",
                "must be up to 49 lower-case letters, digits and dashes, beginning with a letter",
            ));
        }
        let timeout = settings.get_duration("timeout")?.unwrap_or_default();
        if timeout.is_zero() || timeout > LONGEST || timeout.subsec_nanos() != 0 {
            return Err(settings.error("timeout", "must be whole seconds, from 1s to 1h"));
        }
        let start_timeout = settings.get_duration("start_timeout")?.unwrap_or_default();
        if start_timeout.is_zero() {
            return Err(settings.error("start_timeout", "must be more than zero"));
        }
        let bytes = settings.get_size("memory")?.unwrap_or_default();
        let memory = bytes / MIB;
        if bytes % MIB != 0 || !(512..=32_768).contains(&memory) {
            return Err(settings.error("memory", "must be whole MiB, from 512MiB to 32GiB"));
        }
        // As the published definition of Cloud Run's ResourceRequirements has it.
        let cpu = settings.get_u64("cpu")?.unwrap_or(1);
        if ![1, 2, 4, 8].contains(&cpu) {
            return Err(settings.error("cpu", "must be 1, 2, 4 or 8"));
        }
        if cpu >= 4 && memory < 2048 {
            return Err(settings.error("memory", "must be at least 2GiB with 4 processors or more"));
        }
        let prices = PriceTable::of_settings(settings)?;
        Ok(Self {
            route: match settings.get_str("route")? {
                Some("functions") => Route::Functions,
                _ => Route::Run,
            },
            proves,
            audience: settings.get_str("audience")?.map(ToOwned::to_owned),
            metadata: settings.get_str("metadata")?.map(ToOwned::to_owned),
            tls_ca: settings.get_path("tls_ca")?,
            workers: settings.get_u64("workers")?.unwrap_or(1) as usize,
            timeout,
            start_timeout,
            price: prices.price(COMPUTE.name, "x86_64", memory, cpu as f64),
            service,
            url,
        })
    }

    /// What the workers run on. The C libraries are those of Ubuntu 22.04, which Google's image for Node has, and of
    /// 24.04, which `osonly24` is named for; neither is promised anywhere.
    pub fn platform(&self) -> Platform {
        let (name, glibc) = match self.route {
            Route::Run => ("Google Cloud Run (osonly24)", (2, 39)),
            Route::Functions => ("Google Cloud Run functions (nodejs22)", (2, 35)),
        };
        Platform { name: name.to_owned(), arch: "x86_64".to_owned(), glibc: Some(glibc) }
    }
}

/// Whether the address is on this machine, so that nobody is on the way.
fn is_here(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://x-1.europe-west1.run.app";

    fn compute(pairs: &[(&'static str, &str)]) -> Result<ComputeConfig> {
        let url = [("url", URL)].into_iter().filter(|_| !pairs.iter().any(|(key, _)| *key == "url"));
        ComputeConfig::from_settings(&Settings::of_program(
            &COMPUTE,
            "/cache",
            url.chain(pairs.iter().copied()),
        )?)
    }

    #[test]
    fn defaults() {
        let config = compute(&[]).unwrap();
        assert_eq!((config.url.as_deref(), config.audience, config.proves), (Some(URL), None, true));
        assert_eq!((config.workers, config.route, config.timeout), (100, Route::Run, Duration::from_mins(5)));
        let price = config.price.unwrap();
        assert!((price.per_second() - (0.000_024 + 2.0 * 0.000_002_5)).abs() < 1e-12, "{price:?}");
    }

    #[test]
    fn values() {
        let config = compute(&[
            ("url", "https://europe-west1-p.cloudfunctions.net/rustwren/"),
            ("route", "functions"),
            ("timeout", "1h"),
            ("memory", "512MiB"),
        ])
        .unwrap();
        assert_eq!(config.url.as_deref(), Some("https://europe-west1-p.cloudfunctions.net/rustwren"));
        assert_eq!(config.platform().glibc, Some((2, 35)));
        assert!(!compute(&[("auth", "none"), ("url", "http://workers")]).unwrap().proves);
        for here in ["http://127.0.0.1:80", "http://localhost/x"] {
            assert!(compute(&[("url", here)]).unwrap().proves);
        }
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (key, value) in [
            ("url", "http://127.0.0.1.example.com"),
            ("url", "x.run.app"),
            ("auth", "secret"),
            ("service", "Workers"),
            ("service", "workers-"),
            ("route", "appengine"),
            ("timeout", "0s"),
            ("timeout", "1500ms"),
            ("timeout", "61m"),
            ("start_timeout", "0s"),
            ("workers", "0"),
            ("memory", "256MiB"),
            ("memory", "513kB"),
            ("cpu", "0"),
            ("cpu", "3"),
        ] {
            let error = compute(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")), "{error}");
        }
        let error = compute(&[("cpu", "4"), ("memory", "1GiB")]).unwrap_err().to_string();
        assert!(error.contains("compute.memory"), "{error}");
        assert!(compute(&[("cpu", "8")]).is_ok());
    }
}

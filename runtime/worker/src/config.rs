//! What can be configured of a runtime: `[compute]` with `backend = "runtime"`, which the command sets by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustwren_core::auth::{Secret, Secrets};
use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::env;
use rustwren_core::error::Result;
use rustwren_runtime::config::{self, ProcessConfig};

/// What the backend is called.
pub const NAME: &str = "runtime";

/// `[compute]` of a runtime.
pub const KEYS: BackendKeys = BackendKeys {
    name: NAME,
    section: Section::Compute,
    keys: &[
        KeyDoc::with_default(
            "listen",
            Kind::Text,
            "127.0.0.1:8080",
            "Address and port to listen on. `$PORT` in it stands for that environment variable, by which many platforms \
             say which port they want: `0.0.0.0:$PORT`.",
        ),
        KeyDoc::optional(
            "secret",
            Kind::Text,
            "see `secret_file`",
            "",
            "The secret that clients sign their calls with, at least 32 characters; several with commas between while one \
             is being replaced.",
        )
        .secret(),
        KeyDoc::optional(
            "secret_file",
            Kind::Path,
            "the environment variable `RUSTWREN_HTTP_SECRET`",
            "/etc/rustwren/secret",
            "A file with the secret, or with several, one on each line.",
        ),
        KeyDoc::with_default(
            "platform_auth",
            Kind::Bool,
            "false",
            "Whether every call is taken, without a secret: something in front of this runtime lets nobody else through, as \
             Google Cloud Run does.",
        ),
        KeyDoc::optional(
            "tls_cert",
            Kind::Path,
            "HTTP without TLS, for a balancer that ends TLS in front of it",
            "/etc/rustwren/cert.pem",
            "The certificate chain, in PEM form, for HTTPS.",
        ),
        KeyDoc::optional(
            "tls_key",
            Kind::Path,
            "see `tls_cert`",
            "/etc/rustwren/key.pem",
            "The private key of the certificate, in PEM form.",
        ),
        config::WORKERS,
        KeyDoc::with_default(
            "queue_time",
            Kind::Duration,
            "250ms",
            "How long an invocation may wait for a worker that is free before it is refused with 429. Four times as many \
             may wait as run.",
        ),
        KeyDoc::with_default(
            "detached",
            Kind::Integer { min: 0, max: 4096 },
            "4",
            "How many detached invocations, which drive jobs whose clients have left, run at once besides.",
        ),
        config::MEMORY_LIMIT,
        config::STACK_SIZE,
        config::START_TIMEOUT,
        config::MAX_DURATION,
        config::PASS_ENV,
        KeyDoc::with_default(
            "queue_duration",
            Kind::Duration,
            "28m",
            "How long an invocation may last that comes by a queue of Azure, where other limits hold than for calls: less than \
             `functionTimeout` of the function app.",
        ),
        KeyDoc::with_default(
            "warm_images",
            Kind::Integer { min: 1, max: 1000 },
            "4",
            "How many programs keep their function processes warm.",
        ),
        KeyDoc::with_default(
            "idle",
            Kind::Duration,
            "10m",
            "The function processes of a program that was not used for so long are ended.",
        ),
        KeyDoc::with_default(
            "image_cache",
            Kind::Size,
            "2GiB",
            "How much room unpacked programs may take in RustWren's cache folder.",
        ),
        KeyDoc::with_default(
            "serve_storage",
            Kind::Bool,
            "false",
            "Whether clients and other runtimes may read and write [storage] through this runtime, as with `[storage] \
             backend = \"http\"`.",
        ),
        KeyDoc::with_default(
            "max_body",
            Kind::Size,
            "256MiB",
            "The longest body of a call that is read: an invocation, or an object to be stored.",
        ),
        KeyDoc::optional(
            "max_answer",
            Kind::Size,
            "no limit",
            "10MB",
            "The longest answer to an invocation that what is in between lets through. Results that do not fit go through \
             storage.",
        ),
        KeyDoc::with_default(
            "max_connections",
            Kind::Integer { min: 1, max: 1_000_000 },
            "512",
            "How many connections may be open. For one more, the idle one that is open for longest is closed.",
        ),
        KeyDoc::with_default(
            "header_timeout",
            Kind::Duration,
            "10s",
            "How long a caller may take to send a call's headers, or to go on with its body.",
        ),
        KeyDoc::with_default(
            "idle_timeout",
            Kind::Duration,
            "2m",
            "How long a connection may be idle between calls.",
        ),
        KeyDoc::with_default(
            "drain",
            Kind::Duration,
            "20s",
            "How long tasks that run may go on after SIGTERM. What is not done by then is handed back.",
        ),
        KeyDoc::with_default(
            "metrics",
            Kind::Bool,
            "true",
            "Whether `/metrics` is answered, to anybody: numbers of calls and workers, in Prometheus's text form.",
        ),
    ],
};

/// `[compute]` of a runtime, checked.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What clients sign their calls with. Without it every call is taken: the platform lets nobody else through.
    pub secrets: Option<Secrets>,
    /// Certificate chain and private key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How function processes are run.
    pub processes: ProcessConfig,
    /// What tells function processes where the storage is, for their tasks.
    pub storage_variables: Vec<(String, String)>,
    /// How long an invocation may wait for a worker.
    pub queue_time: Duration,
    /// How long an invocation out of a queue may last.
    pub queue_duration: Duration,
    /// Detached invocations at once.
    pub detached: usize,
    /// Programs whose processes are kept warm.
    pub warm_images: usize,
    /// How long they are kept when not used.
    pub idle: Duration,
    /// Bytes for unpacked programs.
    pub image_cache: u64,
    /// Whether the storage is served.
    pub serve_storage: bool,
    /// The longest body of a call, in bytes.
    pub max_body: usize,
    /// The longest answer to an invocation, in bytes.
    pub max_answer: Option<usize>,
    /// Open connections.
    pub max_connections: usize,
    /// How long headers, and each part of a body, may take.
    pub header_timeout: Duration,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How long what runs may go on when the runtime is to end.
    pub drain: Duration,
    /// Whether `/metrics` is answered.
    pub metrics: bool,
}

impl ServeConfig {
    /// Reads and checks the settings, and the secret; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let number = |key| Ok::<_, rustwren_core::error::Error>(settings.get_u64(key)?.unwrap_or(1) as usize);
        let time =
            |key| Ok::<_, rustwren_core::error::Error>(settings.get_duration(key)?.unwrap_or_default());
        let flag = |key| Ok::<_, rustwren_core::error::Error>(settings.get_bool(key)?.unwrap_or_default());
        let size = |key| Ok::<_, rustwren_core::error::Error>(settings.get_size(key)?.unwrap_or_default());
        let tls = match (settings.get_path("tls_cert")?, settings.get_path("tls_key")?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(settings.error("tls_cert", "needs `tls_key` beside it")),
            (None, Some(_)) => return Err(settings.error("tls_key", "needs `tls_cert` beside it")),
        };
        for key in ["header_timeout", "idle_timeout", "queue_duration"] {
            if time(key)?.is_zero() {
                return Err(settings.error(key, "must be more than zero"));
            }
        }
        Ok(Self {
            listen: listen(settings)?,
            secrets: secrets(settings)?,
            tls,
            processes: ProcessConfig::from_settings(settings)?,
            storage_variables: settings.storage_variables().to_vec(),
            queue_time: time("queue_time")?,
            queue_duration: time("queue_duration")?,
            detached: number("detached")?,
            warm_images: number("warm_images")?,
            idle: time("idle")?,
            image_cache: size("image_cache")?,
            serve_storage: flag("serve_storage")?,
            max_body: usize::try_from(size("max_body")?).unwrap_or(usize::MAX),
            max_answer: max_answer(settings)?,
            max_connections: number("max_connections")?,
            header_timeout: time("header_timeout")?,
            idle_timeout: time("idle_timeout")?,
            drain: time("drain")?,
            metrics: flag("metrics")?,
        })
    }
}

impl ServeConfig {
    /// The secret that function processes are given, which make calls of their own where they drive detached jobs: none
    /// unless `pass_env` says so.
    pub fn passed_secret(&self) -> Option<&str> {
        if env::is_withheld(env::HTTP_SECRET.name.as_ref(), &self.processes.pass_env) {
            return None;
        }
        self.secrets.as_ref()?.first().map(Secret::reveal)
    }
}

/// The secrets, unless it is up to the platform who may call.
fn secrets(settings: &Settings) -> Result<Option<Secrets>> {
    if !settings.get_bool("platform_auth")?.unwrap_or_default() {
        return Secrets::from_settings(settings).map(Some);
    }
    // What somebody has taken care to set must not count for nothing.
    let set = [
        ("secret", settings.get_str("secret")?.is_some()),
        ("secret_file", settings.get_path("secret_file")?.is_some()),
    ];
    for (key, is_set) in set {
        if is_set {
            return Err(settings.error(key, "is for signed calls, and with `platform_auth` none is"));
        }
    }
    if settings.get_bool("serve_storage")?.unwrap_or_default() {
        return Err(settings
            .error("serve_storage", "is for clients with a secret, and with `platform_auth` there is none"));
    }
    Ok(None)
}

/// Less than this has no room for what says where results are.
const SHORTEST_ANSWER: u64 = 64 << 10;

fn max_answer(settings: &Settings) -> Result<Option<usize>> {
    let Some(bytes) = settings.get_size("max_answer")? else { return Ok(None) };
    if bytes < SHORTEST_ANSWER {
        return Err(settings.error("max_answer", "must be at least 64KiB"));
    }
    Ok(Some(usize::try_from(bytes).unwrap_or(usize::MAX)))
}

/// Where to listen, with the platform's port in it.
fn listen(settings: &Settings) -> Result<SocketAddr> {
    const PORT: &str = "$PORT";
    let text = settings.get_str("listen")?.unwrap_or_default();
    let text = if text.contains(PORT) {
        let port = env::PORT.get_str()?.ok_or_else(|| {
            settings.error("listen", "has `$PORT` in it, and the environment variable PORT is not set")
        })?;
        text.replace(PORT, &port)
    } else {
        text.to_owned()
    };
    text.parse()
        .map_err(|_| settings.error("listen", format_args!("must be an address and a port, not \"{text}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn read(pairs: &[(&'static str, &str)]) -> Result<ServeConfig> {
        let pairs = [("secret", SECRET)].into_iter().chain(pairs.iter().copied());
        ServeConfig::from_settings(&Settings::of_program(&KEYS, "/cache", pairs)?)
    }

    #[test]
    fn defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((config.detached, config.warm_images, config.max_connections), (4, 4, 512));
        assert_eq!((config.max_body, config.image_cache), (256 << 20, 2 << 30));
        assert_eq!((config.metrics, config.serve_storage, config.tls), (true, false, None));
        assert_eq!(config.drain, Duration::from_secs(20));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (key, value) in [
            ("listen", "8080"),
            ("listen", "localhost:80"),
            ("tls_cert", "/cert.pem"),
            ("tls_key", "/key.pem"),
            ("header_timeout", "0s"),
            ("idle_timeout", "0s"),
            ("secret", "short"),
            ("max_answer", "1KiB"),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")) || error.contains(value), "{error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn who_may_call_is_up_to_the_platform_only_where_that_was_said() {
        let read = |pairs: &[(&'static str, &str)]| {
            ServeConfig::from_settings(&Settings::of_program(&KEYS, "/cache", pairs.iter().copied())?)
        };
        assert!(read(&[]).unwrap_err().to_string().contains("secret"));
        assert!(read(&[("platform_auth", "true")]).unwrap().secrets.is_none());
        for (key, value) in [("secret", SECRET), ("secret_file", "/s"), ("serve_storage", "true")] {
            let error = read(&[("platform_auth", "true"), (key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")) && !error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/runtime.toml");
        let backends = [rustwren_directory::config::STORAGE, KEYS];
        let mut wrong = rustwren_core::config::reference::check_annotated(text, &backends);
        // A runtime starts no jobs.
        wrong
            .retain(|text| !["`image.", "`job.", "`client."].iter().any(|section| text.starts_with(section)));
        assert!(wrong.is_empty(), "config/runtime.toml:\n{}", wrong.join("\n"));
    }
}

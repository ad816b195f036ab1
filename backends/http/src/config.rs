//! What can be configured of HTTP workers and of storage that is served by a runtime.

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::auth::Secrets;
use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;

use crate::access::Signed;
use crate::client::{ClientOptions, Protocol};

const URL: KeyDoc = KeyDoc::required(
    "url",
    Kind::Text,
    "https://workers.example.com",
    "Where it is: `http://` or `https://`, a name, perhaps a port, perhaps the prefix of a path.",
);
const SECRET: KeyDoc = KeyDoc::optional(
    "secret",
    Kind::Text,
    "see `secret_file`",
    "",
    "The secret that calls are signed with, as the runtimes have it. Of several, with commas between, the first.",
)
.secret();
const SECRET_FILE: KeyDoc = KeyDoc::optional(
    "secret_file",
    Kind::Path,
    "the environment variable `RUSTWREN_HTTP_SECRET`",
    "/etc/rustwren/secret",
    "A file with the secret, or with several, one on each line, of which the first is used.",
);
const TLS_CA: KeyDoc = KeyDoc::optional(
    "tls_ca",
    Kind::Path,
    "the certificates that this machine trusts",
    "/etc/rustwren/ca.pem",
    "Certificates, in PEM form, one of which must have signed the server's, where `url` begins with `https`.",
);
const PROTOCOL: KeyDoc = KeyDoc::with_default(
    "protocol",
    Kind::Choice(&["auto", "http1", "http2"]),
    "auto",
    "What is spoken: `auto` is HTTP/1.1, or HTTP/2 where the server offers it in the TLS handshake; `http2` without TLS \
     needs a server that knows it is coming.",
);
const CONNECT_TIMEOUT: KeyDoc = KeyDoc::with_default(
    "connect_timeout",
    Kind::Duration,
    "10s",
    "How long it may take to make a connection.",
);
const CONNECTION_AGE: KeyDoc = KeyDoc::with_default(
    "connection_age",
    Kind::Duration,
    "30s",
    "How long a connection is used for new calls. A balancer that looks at connections sends later ones to machines \
     that have come since.",
);

/// `[storage]` with `backend = "http"`.
pub const STORAGE: BackendKeys = BackendKeys {
    name: "http",
    section: Section::Storage,
    keys: &[
        URL,
        SECRET,
        SECRET_FILE,
        TLS_CA,
        PROTOCOL,
        CONNECT_TIMEOUT,
        CONNECTION_AGE,
        KeyDoc::with_default(
            "timeout",
            Kind::Duration,
            "1m",
            "How long a call about an object may take in all.",
        ),
    ],
};

/// `[compute]` with `backend = "http"`.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "http",
    section: Section::Compute,
    keys: &[
        URL,
        SECRET,
        SECRET_FILE,
        TLS_CA,
        PROTOCOL,
        CONNECT_TIMEOUT,
        CONNECTION_AGE,
        KeyDoc::with_default(
            "workers",
            Kind::Integer { min: 1, max: 100_000 },
            "16",
            "How many invocations run at once: the `workers` of all runtimes together. When it is more, the runtimes \
             say so and the pace adapts.",
        ),
        KeyDoc::with_default(
            "timeout",
            Kind::Duration,
            "30s",
            "How long a runtime may take to begin its answer to an invocation, which it does when it has taken it.",
        ),
        KeyDoc::with_default(
            "max_inline",
            Kind::Size,
            "1MB",
            "The most bytes of inputs that travel inside a call; more go through storage. What is in between must let \
             through as much (nginx: `client_max_body_size`, 1 MiB unless it is set).",
        ),
        KeyDoc::optional(
            "max_duration",
            Kind::Duration,
            "no limit",
            "15m",
            "How long one invocation may last, where the runtimes have been told so, or the platform ends calls then.",
        ),
    ],
};

/// `[compute]` of HTTP workers, checked.
#[derive(Debug, Clone)]
pub struct ComputeConfig {
    /// How to reach them.
    pub client: ClientOptions,
    /// Invocations at once; at least 1.
    pub workers: usize,
    /// How long the beginning of an answer may take.
    pub timeout: Duration,
    /// Bytes of inputs inside a call.
    pub max_inline: usize,
    /// How long one invocation may last.
    pub max_duration: Option<Duration>,
}

impl ComputeConfig {
    /// Reads and checks the settings, and the secret; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let max_inline = settings.get_size("max_inline")?.unwrap_or_default();
        let workers = settings.get_u64("workers")?.unwrap_or(1) as usize;
        Ok(Self {
            client: ClientOptions { calls: workers, ..client(settings)? },
            workers,
            timeout: timeout(settings)?,
            max_inline: usize::try_from(max_inline).unwrap_or(usize::MAX),
            max_duration: settings.get_duration("max_duration")?,
        })
    }
}

/// How long a call may take, or its beginning.
pub(crate) fn timeout(settings: &Settings) -> Result<Duration> {
    let timeout = settings.get_duration("timeout")?.unwrap_or_default();
    if timeout.is_zero() {
        return Err(settings.error("timeout", "must be more than zero"));
    }
    Ok(timeout)
}

/// How to reach the server of either section.
pub(crate) fn client(settings: &Settings) -> Result<ClientOptions> {
    let url = settings.get_str("url")?.unwrap_or_default();
    let options = ClientOptions {
        url: url.to_owned(),
        access: Arc::new(Signed::new(&Secrets::from_settings(settings)?)?),
        calls: 0,
        tls_ca: settings.get_path("tls_ca")?,
        protocol: match settings.get_str("protocol")? {
            Some("http1") => Protocol::Http1,
            Some("http2") => Protocol::Http2,
            _ => Protocol::Auto,
        },
        connect_timeout: settings.get_duration("connect_timeout")?.unwrap_or_default(),
        connection_age: settings.get_duration("connection_age")?.unwrap_or_default(),
    };
    options.check_url().map_err(|what| settings.error("url", what))?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 2] =
        [("url", "http://127.0.0.1:8080/x/"), ("secret", "0123456789abcdef0123456789abcdef")];

    fn compute(pairs: &[(&'static str, &'static str)]) -> Result<ComputeConfig> {
        let pairs = GOOD.into_iter().chain(pairs.iter().copied());
        ComputeConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", pairs)?)
    }

    #[test]
    fn defaults() {
        let config = compute(&[]).unwrap();
        assert_eq!((config.workers, config.max_inline, config.max_duration), (16, 1_000_000, None));
        assert_eq!((config.timeout, config.client.protocol), (Duration::from_secs(30), Protocol::Auto));
        assert_eq!(config.client.connection_age, Duration::from_secs(30));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (key, value) in [
            ("url", "workers.example.com"),
            ("url", "ftp://workers.example.com"),
            ("url", "http://"),
            ("url", "http://user:password@example.com"),
            ("url", "http://example.com/?x"),
            ("timeout", "0s"),
            ("workers", "0"),
            ("protocol", "http3"),
            ("secret", "short"),
        ] {
            let error = compute(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")) && !error.contains("password@"), "{error}");
        }
    }

    #[test]
    fn a_missing_url_or_secret_is_named_with_the_mend() {
        let error = Settings::of_program::<&str>(&COMPUTE, "/cache", []).unwrap_err();
        assert!(error.to_string().contains("`compute.url` is not set"), "{error}");
        let settings = Settings::of_program(&COMPUTE, "/cache", [GOOD[0]]).unwrap();
        let error = ComputeConfig::from_settings(&settings).unwrap_err();
        assert!(error.to_string().contains("RUSTWREN_HTTP_SECRET"), "{error}");
    }

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/http.toml");
        let wrong = rustwren_core::config::reference::check_annotated(text, &[STORAGE, COMPUTE]);
        assert!(wrong.is_empty(), "config/http.toml:\n{}", wrong.join("\n"));
    }
}

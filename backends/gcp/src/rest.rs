//! Calls to Google's APIs, and why they are refused.

use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::CacheableResource;
use http::{Extensions, HeaderMap, StatusCode};
use rustwren_core::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::client::{self, Access, Renewing};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// More of what is no error of an API's is not shown.
const LONGEST_MESSAGE: usize = 300;

const CREDENTIALS: &str = "log in (`gcloud auth application-default login`), or name a service account's file in \
                           GOOGLE_APPLICATION_CREDENTIALS";

/// An API of Google's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Functions,
    Iam,
    Logging,
    Run,
    Storage,
}

impl Api {
    /// Where it is, which is also what it is called where it is turned on and off.
    fn host(self) -> &'static str {
        match self {
            Self::Functions => "cloudfunctions.googleapis.com",
            Self::Iam => "iam.googleapis.com",
            Self::Logging => "logging.googleapis.com",
            Self::Run => "run.googleapis.com",
            Self::Storage => "storage.googleapis.com",
        }
    }
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) api: Api,
    pub(crate) method: http::Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Option<&'a Value>,
    /// What it is for: `making the bucket b`.
    pub(crate) attempt: String,
}

impl<'a> Request<'a> {
    pub(crate) fn get(api: Api, path: String, attempt: impl Into<String>) -> Self {
        Self { api, method: http::Method::GET, path, body: None, attempt: attempt.into() }
    }

    pub(crate) fn delete(api: Api, path: String, attempt: impl Into<String>) -> Self {
        Self { method: http::Method::DELETE, ..Self::get(api, path, attempt) }
    }

    pub(crate) fn with(
        method: http::Method,
        api: Api,
        path: String,
        body: &'a Value,
        attempt: impl Into<String>,
    ) -> Self {
        Self { api, method, path, body: Some(body), attempt: attempt.into() }
    }
}

/// Google's control planes.
pub(crate) struct Google {
    access: Access,
    project: String,
    made: OnceCell<(reqwest::Client, Renewing)>,
}

impl fmt::Debug for Google {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Google").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Google {
    /// Nobody is called yet. Another address stands for all of the APIs, each below its own name.
    pub(crate) fn new(access: Access, project: String) -> Self {
        Self { access, project, made: OnceCell::new() }
    }

    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// The answer to a call.
    pub(crate) async fn call(&self, request: Request<'_>) -> Result<Value, Refusal> {
        let url = self.url(request.api, &request.path);
        let body = request.body.map(ToString::to_string).map(|text| ("application/json", text.into_bytes()));
        let bytes = self.send(&url, &request, body, true).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            let refusal =
                Refusal::ours(&request, format!("the answer of {} is no JSON: {error}", request.api.host()));
            Refusal { kind: ErrorKind::Internal, ..refusal }
        })
    }

    /// The same, and none where what was asked for is not there.
    pub(crate) async fn find(&self, request: Request<'_>) -> Result<Option<Value>, Refusal> {
        match self.call(request).await {
            Ok(found) => Ok(Some(found)),
            Err(refusal) if refusal.status == Some(404) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sends bytes to an address that an API has given for them, which is its own permission, or to an API's own.
    pub(crate) async fn upload(
        &self,
        url: &str,
        request: Request<'_>,
        kind: &'static str,
        bytes: Vec<u8>,
        as_us: bool,
    ) -> Result<(), Refusal> {
        self.send(url, &request, Some((kind, bytes)), as_us).await.map(drop)
    }

    pub(crate) fn url(&self, api: Api, path: &str) -> String {
        match &self.access.endpoint {
            Some(endpoint) => format!("{}/{}{path}", endpoint.trim_end_matches('/'), api.host()),
            None => format!("https://{}{path}", api.host()),
        }
    }

    /// A service of Cloud Run, by its full name.
    pub(crate) async fn service(&self, name: &str) -> Result<Option<Value>, Refusal> {
        self.find(Request::get(Api::Run, format!("/v2/{name}"), format!("looking for {name}"))).await
    }

    /// Whether there are credentials.
    pub(crate) async fn check_credentials(&self) -> Result<()> {
        let request = Request::get(Api::Iam, String::new(), "looking for credentials");
        self.headers(&request).await.map(drop).map_err(Error::from)
    }

    async fn made(&self, request: &Request<'_>) -> Result<&(reqwest::Client, Renewing), Refusal> {
        self.made
            .get_or_try_init(|| async {
                let credentials = self.access.renewing().map_err(|why| Refusal::denied(request, why))?;
                let http = client::http().map_err(|error| Refusal::ours(request, error.to_string()))?;
                Ok((http, credentials))
            })
            .await
    }

    async fn headers(&self, request: &Request<'_>) -> Result<HeaderMap, Refusal> {
        let (_, credentials) = self.made(request).await?;
        let headers = tokio::time::timeout(PATIENCE, credentials.headers(Extensions::new())).await;
        match headers {
            Ok(Ok(CacheableResource::New { data, .. })) => Ok(data),
            Ok(Ok(CacheableResource::NotModified)) => Ok(HeaderMap::new()),
            Ok(Err(error)) => {
                let kind = if error.is_transient() { ErrorKind::Unavailable } else { ErrorKind::Denied };
                let why = format!("there is no access token: {}", rustwren_core::error::chain(&error));
                Err(Refusal { kind, ..Refusal::denied(request, why) })
            }
            Err(_) => Err(Refusal::denied(request, format!("no access token came within {PATIENCE:?}"))),
        }
    }

    async fn send(
        &self,
        url: &str,
        request: &Request<'_>,
        body: Option<(&'static str, Vec<u8>)>,
        as_us: bool,
    ) -> Result<bytes::Bytes, Refusal> {
        let told = rustwren_core::redact::without_query(url);
        tracing::debug!(method = %request.method, url = told, "calling Google");
        let (http, credentials) = self.made(request).await?;
        let body = body.map(|(kind, bytes)| (kind, bytes::Bytes::from(bytes)));
        let broken =
            |error: reqwest::Error| Refusal::ours(request, rustwren_core::error::chain(&error.without_url()));
        let mut renewed = false;
        loop {
            let number = credentials.number();
            let mut sent = http.request(request.method.clone(), url).timeout(PATIENCE);
            if as_us {
                sent = sent.headers(self.headers(request).await?);
            }
            if let Some((kind, bytes)) = &body {
                sent = sent.header(http::header::CONTENT_TYPE, *kind).body(bytes.clone());
            }
            let answer = sent.send().await.map_err(broken)?;
            let status = answer.status();
            let bytes = answer.bytes().await.map_err(broken)?;
            if status.is_success() {
                return Ok(bytes);
            }
            // A token may be refused before its time. Another is tried once.
            if as_us && status == StatusCode::UNAUTHORIZED && !renewed && credentials.refused(number) {
                renewed = true;
                continue;
            }
            return Err(Refusal::of(request, status.as_u16(), &bytes));
        }
    }
}

/// A call that was not carried out.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: ErrorKind,
    attempt: String,
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    hint: Option<String>,
}

/// An error as the APIs have it.
#[derive(Deserialize)]
struct Envelope {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    reason: Option<String>,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

impl Refusal {
    fn of(request: &Request<'_>, status: u16, body: &[u8]) -> Self {
        let attempt = request.attempt.clone();
        let Ok(Envelope { error }) = serde_json::from_slice(body) else {
            let text: String = String::from_utf8_lossy(body).chars().take(LONGEST_MESSAGE).collect();
            return Self { kind: kind(status), attempt, status: Some(status), message: text, hint: None };
        };
        let details = || error.details.iter().chain(&error.errors);
        let reason = |names: &[&str]| {
            details().find(|detail| detail.reason.as_deref().is_some_and(|reason| names.contains(&reason)))
        };
        let mut class = kind(status);
        let hint = if let Some(off) = reason(&["SERVICE_DISABLED", "accessNotConfigured"]) {
            class = ErrorKind::Config;
            let service = off.metadata.get("service").map_or(request.api.host(), String::as_str);
            let project =
                off.metadata.get("consumer").map_or("PROJECT", |name| name.trim_start_matches("projects/"));
            Some(format!("turn the API on: `gcloud services enable {service} --project={project}`"))
        } else if let Some(permission) = details().find_map(|detail| detail.metadata.get("permission")) {
            Some(format!("whoever sets up needs {permission}: docs/gcp.md has the roles"))
        } else if status == 401 {
            Some(CREDENTIALS.to_owned())
        } else if status == 403 {
            Some("whoever sets up needs the roles in docs/gcp.md".to_owned())
        } else {
            None
        };
        Self { kind: class, attempt, status: Some(status), message: error.message, hint }
    }

    fn ours(request: &Request<'_>, message: String) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            attempt: request.attempt.clone(),
            status: None,
            message,
            hint: None,
        }
    }

    fn denied(request: &Request<'_>, message: String) -> Self {
        Self { kind: ErrorKind::Denied, hint: Some(CREDENTIALS.to_owned()), ..Self::ours(request, message) }
    }

    /// Whether it may pass by itself within a minute.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.status, Some(429 | 502 | 503 | 504)) || self.is_conflict()
    }

    /// Whether the caller lacks a permission. An API that is off is something else.
    pub(crate) fn is_permission(&self) -> bool {
        self.status == Some(403) && self.kind == ErrorKind::Denied
    }

    /// Whether somebody else has changed the same thing at the same time.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.status, Some(409 | 412))
    }
}

fn kind(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Denied,
        409 | 412 | 429 | 500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { kind, attempt, status, message, hint } = refusal;
        let status = status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
        let error = Self::new(kind, format!("{attempt}: {message}{status}"));
        error.with_optional_hint(hint)
    }
}

//! Calls that Google's crates have none for, or whose crate is not built where they are made: Cloud Storage's JSON API for
//! setup, and where a service of Cloud Run is for jobs. Credentials and addresses are those of all calls.

use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::CacheableResource;
use http::{Extensions, HeaderMap, StatusCode};
use rustwren_core::error::Result;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::client::{self, Access, Renewing};
use crate::refusal::Refusal;

/// How long one call may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

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
    pub(crate) fn host(self) -> &'static str {
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
            Refusal::misread(
                &request.attempt,
                format!("the answer of {} is no JSON: {error}", request.api.host()),
            )
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
        match self.endpoint(api) {
            Some(endpoint) => format!("{endpoint}{path}"),
            None => format!("https://{}{path}", api.host()),
        }
    }

    /// Where an API is, if it is not at Google's own address.
    pub(crate) fn endpoint(&self, api: Api) -> Option<String> {
        let endpoint = self.access.endpoint.as_ref()?;
        Some(format!("{}/{}", endpoint.trim_end_matches('/'), api.host()))
    }

    /// A service of Cloud Run, by its full name.
    pub(crate) async fn service(&self, name: &str) -> Result<Option<Value>, Refusal> {
        self.find(Request::get(Api::Run, format!("/v2/{name}"), format!("looking for {name}"))).await
    }

    /// Credentials that give a token, which is kept by then.
    pub(crate) async fn credentials(&self, attempt: &str) -> Result<&Renewing, Refusal> {
        self.headers(attempt).await?;
        Ok(&self.made(attempt).await?.1)
    }

    async fn made(&self, attempt: &str) -> Result<&(reqwest::Client, Renewing), Refusal> {
        self.made
            .get_or_try_init(|| async {
                let credentials = self.access.renewing().map_err(|why| Refusal::denied(attempt, why))?;
                let http = client::http().map_err(|error| Refusal::ours(attempt, error.to_string()))?;
                Ok((http, credentials))
            })
            .await
    }

    async fn headers(&self, attempt: &str) -> Result<HeaderMap, Refusal> {
        let (_, credentials) = self.made(attempt).await?;
        let headers = tokio::time::timeout(PATIENCE, credentials.headers(Extensions::new())).await;
        match headers {
            Ok(Ok(CacheableResource::New { data, .. })) => Ok(data),
            Ok(Ok(CacheableResource::NotModified)) => Ok(HeaderMap::new()),
            Ok(Err(error)) => Err(Refusal::no_token(attempt, &error)),
            Err(_) => Err(Refusal::denied(attempt, format!("no access token came within {PATIENCE:?}"))),
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
        let (http, credentials) = self.made(&request.attempt).await?;
        let body = body.map(|(kind, bytes)| (kind, bytes::Bytes::from(bytes)));
        let broken = |error: reqwest::Error| {
            Refusal::ours(&request.attempt, rustwren_core::error::chain(&error.without_url()))
        };
        let mut renewed = false;
        loop {
            let number = credentials.number();
            let mut sent = http.request(request.method.clone(), url).timeout(PATIENCE);
            if as_us {
                sent = sent.headers(self.headers(&request.attempt).await?);
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
            return Err(Refusal::of(request.api, &request.attempt, status.as_u16(), &bytes));
        }
    }
}

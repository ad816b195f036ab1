//! Calls to Azure Resource Manager, and to the place that an app's packages are published at.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{HttpClient as _, Method, Request as SdkRequest, Url};
use bytes::Bytes;
use rustwren_core::error::{Result, chain};
use rustwren_core::redact::without_query;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::refusal::Refusal;
use crate::client::{Access, transport::Transport};

/// How long one call may take, and how long one with a package in it.
const PATIENCE: Duration = Duration::from_mins(1);
const UPLOAD: Duration = Duration::from_mins(10);

const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");
const ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
const LOCATION: HeaderName = HeaderName::from_static("location");

/// The versions of the APIs, which are those of `crates/testkit/src/standins/azure_control/published.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Resources,
    Storage,
    Web,
    Authorization,
    OperationalInsights,
    Insights,
    /// What lines of logs are asked of, which is none of Resource Manager's. Its version is in the path.
    Logs,
}

impl Api {
    fn version(self) -> Option<&'static str> {
        Some(match self {
            Self::Resources => "2024-11-01",
            Self::Storage => "2024-01-01",
            Self::Web => "2024-04-01",
            Self::Authorization => "2022-04-01",
            Self::OperationalInsights => "2022-10-01",
            Self::Insights => "2020-02-02",
            Self::Logs => return None,
        })
    }
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    pub(super) api: Api,
    pub(super) method: Method,
    /// The path, and what the query has beside the API's version.
    pub(super) path: String,
    pub(super) body: Option<&'a Value>,
    /// What it is for: `making the storage account s`.
    pub(super) attempt: String,
}

impl<'a> Request<'a> {
    pub(super) fn get(api: Api, path: impl Into<String>, attempt: impl Into<String>) -> Self {
        Self { api, method: Method::Get, path: path.into(), body: None, attempt: attempt.into() }
    }

    pub(super) fn delete(api: Api, path: impl Into<String>, attempt: impl Into<String>) -> Self {
        Self { method: Method::Delete, ..Self::get(api, path, attempt) }
    }

    /// One that asks for something by `POST`, which some reading takes.
    pub(super) fn post(api: Api, path: impl Into<String>, attempt: impl Into<String>) -> Self {
        Self { method: Method::Post, ..Self::get(api, path, attempt) }
    }

    pub(super) fn put(
        api: Api,
        path: impl Into<String>,
        body: &'a Value,
        attempt: impl Into<String>,
    ) -> Self {
        Self { method: Method::Put, ..Self::get(api, path, attempt).with(body) }
    }

    pub(super) fn with(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// What a call was answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where to ask how far it is.
    pub(super) operation: Option<String>,
    /// Where to look for its end.
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Value,
}

/// Azure Resource Manager, or another API that takes tokens for its own address.
pub(super) struct Arm {
    endpoint: String,
    access: Access,
    made: OnceCell<(Arc<Transport>, Arc<dyn TokenCredential>)>,
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Arm {
    /// Nobody is called yet.
    pub(super) fn new(endpoint: String, access: Access) -> Self {
        Self { endpoint, access, made: OnceCell::new() }
    }

    /// The scheme of the addresses that belong to it: that of its own.
    pub(super) fn scheme(&self) -> &str {
        self.endpoint.split_once("://").map_or("https", |(scheme, _)| scheme)
    }

    /// The answer to a call.
    pub(super) async fn call(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let mut url = format!("{}{}", self.endpoint, request.path);
        if let Some(version) = request.api.version() {
            let separator = if request.path.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}api-version={version}");
        }
        let body = request.body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.send(&url, request.method, body, PATIENCE, &request.attempt).await
    }

    /// What is there, and none where there is nothing.
    pub(super) async fn find(&self, request: &Request<'_>) -> Result<Option<Value>, Refusal> {
        match self.call(request).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(refusal) if refusal.status == Some(404) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// All that a list has, page by page; none where there is nothing to be listed.
    pub(super) async fn list(&self, request: &Request<'_>) -> Result<Vec<Value>, Refusal> {
        let mut all = Vec::new();
        let mut page = self.find(request).await?.unwrap_or_default();
        loop {
            all.extend(page["value"].as_array().into_iter().flatten().cloned());
            let Some(next) = page["nextLink"].as_str().map(ToOwned::to_owned) else { return Ok(all) };
            page = self.follow_own(&next, &request.attempt).await?.body;
        }
    }

    /// The answer at an address that an earlier answer has named. Tokens go nowhere but where that came from.
    pub(super) async fn follow(&self, url: &str, from: &str, attempt: &str) -> Result<Answer, Refusal> {
        let host = |url: &str| Url::parse(url).ok().map(|url| url.origin());
        if host(url).is_none() || host(url) != host(from) {
            return Err(Refusal::ours(attempt, "Azure's answer names an address that is not its own"));
        }
        self.send(url, Method::Get, None, PATIENCE, attempt).await
    }

    pub(super) async fn follow_own(&self, url: &str, attempt: &str) -> Result<Answer, Refusal> {
        self.follow(url, &self.endpoint, attempt).await
    }

    /// Sends a package.
    pub(super) async fn upload(&self, url: &str, zip: Bytes, attempt: &str) -> Result<Answer, Refusal> {
        self.send(url, Method::Post, Some(("application/zip", zip)), UPLOAD, attempt).await
    }

    /// Whether there are credentials.
    pub(super) async fn check_credentials(&self) -> Result<()> {
        Ok(self.token("looking for credentials").await.map(drop)?)
    }

    async fn made(&self, attempt: &str) -> Result<&(Arc<Transport>, Arc<dyn TokenCredential>), Refusal> {
        self.made
            .get_or_try_init(|| async {
                let credential = self
                    .access
                    .token_credential()
                    .map_err(|error| Refusal::denied(attempt, &chain(&error)))?;
                let transport = Transport::new(None, self.scheme() == "https")
                    .map_err(|error| Refusal::ours(attempt, &chain(&error)))?;
                Ok((transport, credential))
            })
            .await
    }

    async fn token(&self, attempt: &str) -> Result<String, Refusal> {
        let (_, credential) = self.made(attempt).await?;
        let scope = format!("{}/.default", self.endpoint);
        // Credentials keep tokens for as long as they hold.
        match tokio::time::timeout(PATIENCE, credential.get_token(&[&scope], None)).await {
            Ok(Ok(token)) => Ok(token.token.secret().to_owned()),
            Ok(Err(error)) => Err(Refusal::denied(attempt, &chain(&error))),
            Err(_) => Err(Refusal::denied(attempt, &format!("no token came within {PATIENCE:?}"))),
        }
    }

    async fn send(
        &self,
        url: &str,
        method: Method,
        body: Option<(&'static str, Bytes)>,
        patience: Duration,
        attempt: &str,
    ) -> Result<Answer, Refusal> {
        // Addresses of operations carry a signature.
        let told = without_query(url);
        tracing::debug!(%method, url = told, "calling Azure");
        let (transport, _) = self.made(attempt).await?;
        let address = Url::parse(url)
            .map_err(|error| Refusal::ours(attempt, &format!("{told} is no address: {error}")))?;
        let mut request = SdkRequest::new(address, method);
        request.insert_header(AUTHORIZATION, format!("Bearer {}", self.token(attempt).await?));
        if let Some((kind, bytes)) = body {
            request.insert_header(CONTENT_TYPE, kind);
            request.set_body(bytes);
        }
        let sent = async { transport.execute_request(&request).await?.try_into_raw_response().await };
        let answer = match tokio::time::timeout(patience, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Refusal::ours(attempt, &chain(&error))),
            Err(_) => {
                return Err(Refusal::ours(attempt, &format!("no answer came within {patience:?}")));
            }
        };
        let (status, headers, bytes) = answer.deconstruct();
        let retry_after = header(&headers, &RETRY_AFTER).and_then(|text| text.parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let status = u16::from(status);
        if !(200..300).contains(&status) {
            return Err(Refusal::of(attempt, status, retry_after, &bytes));
        }
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        // What publishing answers is not always JSON, and then nothing that is looked at.
        let body = body.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer {
            status,
            operation: header(&headers, &ASYNC_OPERATION),
            location: header(&headers, &LOCATION),
            retry_after,
            body,
        })
    }
}

fn header(headers: &Headers, name: &HeaderName) -> Option<String> {
    headers.get_optional_str(name).map(ToOwned::to_owned)
}

//! Google's own clients of its control planes, all with the credentials and at the address that the configuration says.
//!
//! They try nothing twice by themselves: how long is waited for what passes is the course's to say, by its clock. A token that
//! is refused before its time is replaced here, as in our own calls (`rest.rs`).

use std::fmt;

use google_cloud_auth::credentials::Credentials;
use google_cloud_functions_v2::client::FunctionService;
use google_cloud_gax::client_builder::{self, ClientBuilder};
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_iam_admin_v1::client::Iam;
use google_cloud_logging_v2::client::LoggingServiceV2;
use google_cloud_run_v2::client::Services;
use google_cloud_run_v2::model::Service;
use http::StatusCode;
use rustwren_core::error::Result;
use tokio::sync::OnceCell;

use crate::client::Access;
use crate::refusal::Refusal;
use crate::rest::{Api, Google, PATIENCE};

/// What everything that is set up is called by. Each client is made when it is first needed.
#[derive(Default)]
struct Made {
    functions: OnceCell<FunctionService>,
    iam: OnceCell<Iam>,
    logging: OnceCell<LoggingServiceV2>,
    services: OnceCell<Services>,
}

/// Google's control planes.
pub(super) struct Clients {
    /// For what Google's crates have no calls for.
    pub(super) rest: Google,
    made: Made,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Clients {
    /// Nobody is called yet.
    pub(super) fn new(access: Access, project: String) -> Self {
        Self { rest: Google::new(access, project), made: Made::default() }
    }

    pub(super) fn project(&self) -> &str {
        self.rest.project()
    }

    /// Service accounts.
    pub(super) async fn iam(&self, attempt: &str) -> Result<&Iam, Refusal> {
        let make = || async {
            made(self.with_ours(Iam::builder(), Api::Iam, attempt).await?.build().await, attempt)
        };
        self.made.iam.get_or_try_init(make).await
    }

    pub(super) async fn functions(&self, attempt: &str) -> Result<&FunctionService, Refusal> {
        let make = || async {
            let builder = self.with_ours(FunctionService::builder(), Api::Functions, attempt).await?;
            made(builder.build().await, attempt)
        };
        self.made.functions.get_or_try_init(make).await
    }

    /// Services of Cloud Run.
    pub(super) async fn services(&self, attempt: &str) -> Result<&Services, Refusal> {
        let make = || async {
            made(self.with_ours(Services::builder(), Api::Run, attempt).await?.build().await, attempt)
        };
        self.made.services.get_or_try_init(make).await
    }

    pub(super) async fn logging(&self, attempt: &str) -> Result<&LoggingServiceV2, Refusal> {
        let make = || async {
            let builder = self.with_ours(LoggingServiceV2::builder(), Api::Logging, attempt).await?;
            made(builder.build().await, attempt)
        };
        self.made.logging.get_or_try_init(make).await
    }

    /// The service of this full name, which a function has as well.
    pub(super) async fn service(&self, name: &str) -> Result<Option<Service>, Refusal> {
        let attempt = format!("looking for {name}");
        let services = self.services(&attempt).await?;
        found(self.ask(Api::Run, &attempt, || services.get_service().set_name(name).send()).await)
    }

    async fn with_ours<F>(
        &self,
        builder: ClientBuilder<F, Credentials>,
        api: Api,
        attempt: &str,
    ) -> Result<ClientBuilder<F, Credentials>, Refusal> {
        let credentials = Credentials::from(self.rest.credentials(attempt).await?.clone());
        let builder = builder
            .with_credentials(credentials)
            .with_attempt_timeout(PATIENCE)
            .with_retry_policy(NeverRetry);
        Ok(match self.rest.endpoint(api) {
            Some(endpoint) => builder.with_endpoint(endpoint),
            None => builder,
        })
    }

    /// The answer to a call, which is made once more where its token was refused.
    pub(super) async fn ask<T, F>(&self, api: Api, attempt: &str, call: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = google_cloud_gax::Result<T>>,
    {
        let mut renewed = false;
        loop {
            let credentials = self.rest.credentials(attempt).await?;
            let number = credentials.number();
            tracing::debug!(api = api.host(), attempt, "calling Google");
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_refused = error.http_status_code() == Some(StatusCode::UNAUTHORIZED.as_u16());
            // A token may be refused before its time. Another is tried once.
            if is_refused && !renewed && credentials.refused(number) {
                renewed = true;
                continue;
            }
            return Err(Refusal::of_client(api, attempt, &error));
        }
    }
}

fn made<C>(client: client_builder::Result<C>, attempt: &str) -> Result<C, Refusal> {
    client.map_err(|error| Refusal::denied(attempt, rustwren_core::error::chain(&error)))
}

/// None where what was asked for is not there.
pub(super) fn found<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.status == Some(StatusCode::NOT_FOUND.as_u16()) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

//! Operations that go on at Google after a call has been answered, asked for by the pollers of Google's clients.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use google_cloud_gax::error::Error as ClientError;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::polling_error_policy::PollingErrorPolicy;
use google_cloud_gax::polling_state::PollingState;
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_lro::{Poller, PollingResult};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Pauses};
use tokio::sync;

use super::clients::Clients;
use crate::refusal::Refusal;
use crate::rest::Api;

/// How long one is waited for. Functions are built from source, which takes minutes.
const LONGEST: Duration = Duration::from_mins(20);

/// The name of an operation, which its poller tells nobody but the policy it asks. It goes on whatever it meets: what passes and
/// how often it is asked for is decided here.
#[derive(Debug, Clone, Default)]
pub(super) struct Name(Arc<Mutex<String>>);

impl PollingErrorPolicy for Name {
    fn on_error(&self, _: &PollingState, error: ClientError) -> RetryResult {
        RetryResult::Continue(error)
    }

    fn on_in_progress(&self, _: &PollingState, name: &str) -> google_cloud_gax::Result<()> {
        name.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// How far one is.
enum Seen {
    Going,
    Done,
    /// The operation has failed, and not the call that asked for it.
    Failed(ClientError),
}

/// One that has begun.
pub(super) struct Begun<P> {
    api: Api,
    attempt: String,
    name: Name,
    poller: sync::Mutex<P>,
    seen: Seen,
}

/// Makes a call that begins an operation, again where it is refused for something that passes. The poller is asked for its
/// errors by the policy that it is made with.
pub(super) async fn begin<A, M, P: Poller<A, M>>(
    google: &Clients,
    api: Api,
    attempt: &str,
    patience: Patience<'_>,
    passes: impl Fn(&Refusal) -> Option<&'static str>,
    call: impl Fn(Name) -> P,
) -> Result<Begun<P>, Refusal> {
    let name = Name::default();
    let begin = || {
        let poller = sync::Mutex::new(call(name.clone()));
        async move { look(&poller).await.map(|seen| (poller, seen)) }
    };
    let (poller, seen) = patience.until_done(passes, || google.ask(api, attempt, begin)).await?;
    Ok(Begun { api, attempt: attempt.to_owned(), name, poller, seen })
}

/// Asks a poller. The first time it makes the call that begins the operation.
async fn look<A, M, P: Poller<A, M>>(poller: &sync::Mutex<P>) -> google_cloud_gax::Result<Seen> {
    Ok(match poller.lock().await.poll().await {
        Some(PollingResult::InProgress(_)) => Seen::Going,
        Some(PollingResult::Completed(Ok(_))) | None => Seen::Done,
        // What an operation ends with is a status that came with no answer of its own.
        Some(PollingResult::Completed(Err(error)))
            if error.status().is_some() && error.http_status_code().is_none() =>
        {
            Seen::Failed(error)
        }
        Some(PollingResult::Completed(Err(error)) | PollingResult::PollingError(error)) => return Err(error),
    })
}

impl<P> Begun<P> {
    /// Waits until it is over. It goes on by itself where that is given up: the next run finds what it has made.
    pub(super) async fn over<A, M>(self, google: &Clients, patience: Patience<'_>) -> Result<()>
    where
        P: Poller<A, M>,
    {
        let Self { api, attempt, name, poller, mut seen } = self;
        let asking = format!("{attempt}: asking how far it is");
        let mut pauses = Pauses::of(LONGEST);
        loop {
            match seen {
                Seen::Done => return Ok(()),
                Seen::Failed(error) => return Err(failed(&attempt, &error)),
                Seen::Going => {}
            }
            let Some(pause) = pauses.next() else {
                let name = name.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let message = format!("{attempt}: the operation {name} was not over after {LONGEST:?}");
                return Err(Error::new(ErrorKind::Unavailable, message).with_hint(
                    "it goes on by itself: run `rustwren setup` again later, which finds what it has made",
                ));
            };
            patience.wait("Google is at it", pause).await;
            let ask = || google.ask(api, &asking, || look(&poller));
            seen = patience.until_done(|_| None, ask).await?;
        }
    }
}

/// What an operation ended with.
fn failed(attempt: &str, error: &ClientError) -> Error {
    let (code, message) = match error.status() {
        Some(status) => (status.code, status.message.as_str()),
        None => (Code::Unknown, ""),
    };
    let message = if message.is_empty() { "Google does not say why" } else { message };
    let kind = match code {
        Code::PermissionDenied => ErrorKind::Denied,
        Code::Unavailable => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    };
    Error::new(kind, format!("{attempt}: {message}")).with_hint(
        "`gcloud run services logs read SERVICE` has the instance's own words, where there are any",
    )
}

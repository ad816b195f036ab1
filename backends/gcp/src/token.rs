//! ID tokens: how Google's front ends know who calls a service.
//!
//! The official crate makes them, keeps them and renews them four minutes before they expire. What it leaves to its
//! users is done here: a credential that has failed for good is made anew with the next call, a token that is refused
//! before its time is thrown away, and nobody waits for one for ever.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::idtoken::{self, IDTokenCredentials};
use google_cloud_auth::errors::CredentialsError;
use rustwren_core::error::{BackendError, ErrorClass};
use tokio::time::timeout;

use crate::client::use_ring;

/// How long a token is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const HINT: &str = "credentials are those of all tools of Google: a service account's in GOOGLE_APPLICATION_CREDENTIALS, the \
                    machine's own on Google's, or yours in the name of a service account: `gcloud auth \
                    application-default login --impersonate-service-account=ACCOUNT`";

/// Tokens for one audience.
#[derive(Debug)]
pub(crate) struct IdTokens {
    audience: String,
    metadata: Option<String>,
    held: Mutex<Held>,
}

type Credentials = Arc<IDTokenCredentials>;

#[derive(Debug, Default)]
struct Held {
    /// Made with the first call, since they live on the runtime that serves it.
    credentials: Option<Credentials>,
    /// The last token that was given out, and by whom.
    last: Option<(Secret, Credentials)>,
}

/// A token, never shown.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl IdTokens {
    /// For this audience; from the metadata server there, where one is named.
    pub(crate) fn new(audience: String, metadata: Option<String>) -> Self {
        Self { audience, metadata, held: Mutex::default() }
    }

    /// A token that holds.
    pub(crate) async fn token(&self) -> Result<String, BackendError> {
        let credentials = self.credentials()?;
        let error = match timeout(PATIENCE, credentials.id_token()).await {
            Ok(Ok(token)) => {
                let mut held = self.held();
                if held.last.as_ref().is_none_or(|(last, _)| last.0 != token) {
                    held.last = Some((Secret(token.clone()), credentials));
                }
                return Ok(token);
            }
            Ok(Err(error)) => self.failed(error),
            Err(_) => {
                let message = format!("{}: none came within {PATIENCE:?}", self.attempt());
                BackendError::new(ErrorClass::Transient, message).with_hint(HINT)
            }
        };
        // They would say the same for ever.
        self.forget(&credentials);
        Err(error)
    }

    /// This token was refused. Whether there will be another.
    pub(crate) fn refused(&self, token: &str) -> bool {
        let last = {
            let held = self.held();
            held.last.as_ref().filter(|(last, _)| last.0 == token).map(|(_, by)| Arc::clone(by))
        };
        // Where it is not the last, others of the same burst of calls have seen to it already.
        if let Some(credentials) = last {
            self.forget(&credentials);
        }
        true
    }

    fn credentials(&self) -> Result<Credentials, BackendError> {
        let mut held = self.held();
        if let Some(credentials) = &held.credentials {
            return Ok(Arc::clone(credentials));
        }
        use_ring();
        let made = match &self.metadata {
            Some(endpoint) => idtoken::mds::Builder::new(&self.audience)
                .with_endpoint(endpoint.trim_end_matches('/'))
                .build(),
            None => idtoken::Builder::new(&self.audience).build(),
        };
        let made = made.map_err(|error| {
            let class = if error.is_loading() || error.is_not_supported() || error.is_unknown_type() {
                ErrorClass::Misconfigured
            } else {
                ErrorClass::Denied
            };
            BackendError::new(class, self.attempt()).with_source(error).with_hint(HINT)
        })?;
        let made = Arc::new(made);
        held.credentials = Some(Arc::clone(&made));
        Ok(made)
    }

    fn forget(&self, credentials: &Credentials) {
        let mut held = self.held();
        if held.credentials.as_ref().is_some_and(|held| Arc::ptr_eq(held, credentials)) {
            held.credentials = None;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self) -> String {
        format!("getting an ID token for {}", self.audience)
    }

    fn failed(&self, error: CredentialsError) -> BackendError {
        let class = if error.is_transient() { ErrorClass::Transient } else { ErrorClass::Denied };
        BackendError::new(class, self.attempt()).with_source(error).with_hint(HINT)
    }
}

#[cfg(test)]
mod tests {
    use rustwren_testkit::standins::{Front, Tokens};

    use super::*;

    /// As long as Google's own hold, and how long before that they are renewed.
    const HOUR: Duration = Duration::from_hours(1);
    const EARLY: Duration = Duration::from_mins(4);

    fn world() -> (Arc<Tokens>, Front, IdTokens) {
        let tokens = Arc::new(Tokens::lasting(HOUR));
        let server = tokens.serve();
        let ids = IdTokens::new("https://x-1.run.app".to_owned(), Some(server.endpoint()));
        (tokens, server, ids)
    }

    /// Moves time on. It stands still only meanwhile: what waits for the network must not find its time up.
    async fn pass(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn one_is_kept_and_renewed_before_it_expires() {
        let (tokens, _server, ids) = world();
        let first = ids.token().await.unwrap();
        assert_eq!(ids.token().await.unwrap(), first);
        assert_eq!(tokens.given(), 1);
        // Nobody asks for it: it is renewed by itself.
        pass(HOUR.saturating_sub(EARLY) + Duration::from_secs(2)).await;
        tokens.watch().wait_for(|given| *given >= 2).await.unwrap();
        // Had it not been, the next call would wait for it.
        pass(EARLY).await;
        assert_ne!(ids.token().await.unwrap(), first);
        assert_eq!(tokens.given(), 2);
    }

    #[tokio::test]
    async fn one_that_is_refused_is_replaced_once_for_all_that_had_it() {
        let (tokens, _server, ids) = world();
        let first = ids.token().await.unwrap();
        for _ in 0..5 {
            assert!(ids.refused(&first));
        }
        let second = ids.token().await.unwrap();
        assert_ne!(second, first);
        // Calls that were under way with the first are answered later.
        assert!(ids.refused(&first));
        assert_eq!((ids.token().await.unwrap(), tokens.given()), (second, 2));
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_an_error_with_its_mend_and_is_asked_for_again() {
        let (tokens, server, ids) = world();
        tokens.refuse_next(403);
        let error = ids.token().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Denied, "{error}");
        assert!(error.to_string().contains("getting an ID token for https://x-1.run.app"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--impersonate-service-account")), "{error:?}");
        let token = ids.token().await.unwrap();
        assert!(!format!("{ids:?}").contains(&token));
        // Expired, and whoever gives them is no longer there.
        drop(server);
        pass(HOUR + EARLY).await;
        let error = ids.token().await.unwrap_err();
        assert!(error.hint().is_some() && error.to_string().contains("ID token"), "{error}");
    }
}

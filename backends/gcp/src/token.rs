//! ID tokens: how Google's front ends know who calls a service.
//!
//! The official crate makes them, keeps them and renews them four minutes before they expire. What it leaves to its
//! users is done here: a credential that has failed for good is made anew with the next call, a token that is refused
//! before its time is thrown away, and nobody waits for one for ever.

use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use google_cloud_auth::credentials::idtoken::{self, IDTokenCredentials};
use google_cloud_auth::errors::CredentialsError;
use rustwren_core::error::{BackendError, ErrorClass};
use tokio::time::timeout;

/// How long a token is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// A credential that is younger than this is not thrown away because a token of it is refused: others of the same burst
/// of calls have done so already.
const YOUNG: Duration = Duration::from_secs(5);

const HINT: &str = "credentials are those of all tools of Google: a service account's in GOOGLE_APPLICATION_CREDENTIALS, the \
                    machine's own on Google's, or yours in the name of a service account: `gcloud auth \
                    application-default login --impersonate-service-account=ACCOUNT`";

/// Tokens for one audience.
#[derive(Debug)]
pub(crate) struct IdTokens {
    audience: String,
    metadata: Option<String>,
    /// Made with the first call, since it lives on the runtime that serves it.
    credentials: Mutex<Option<Made>>,
}

#[derive(Debug, Clone)]
struct Made {
    credentials: Arc<IDTokenCredentials>,
    at: Instant,
}

impl IdTokens {
    /// For this audience; from the metadata server there, where one is named.
    pub(crate) fn new(audience: String, metadata: Option<String>) -> Self {
        Self { audience, metadata, credentials: Mutex::default() }
    }

    /// A token that holds.
    pub(crate) async fn token(&self) -> Result<String, BackendError> {
        let made = self.made()?;
        match timeout(PATIENCE, made.credentials.id_token()).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => {
                // It would say the same for ever.
                self.forget(&made);
                Err(self.failed(error))
            }
            Err(_) => {
                self.forget(&made);
                let message = format!("{}: none came within {PATIENCE:?}", self.attempt());
                Err(BackendError::new(ErrorClass::Transient, message).with_hint(HINT))
            }
        }
    }

    /// A token was refused. Whether there will be another.
    pub(crate) fn refused(&self) -> bool {
        let mut held = self.held();
        if held.as_ref().is_some_and(|made| made.at.elapsed() >= YOUNG) {
            *held = None;
        }
        true
    }

    fn made(&self) -> Result<Made, BackendError> {
        let mut held = self.held();
        if let Some(made) = &*held {
            return Ok(made.clone());
        }
        tls();
        let credentials = match &self.metadata {
            Some(endpoint) => idtoken::mds::Builder::new(&self.audience)
                .with_endpoint(endpoint.trim_end_matches('/'))
                .build(),
            None => idtoken::Builder::new(&self.audience).build(),
        };
        let credentials = credentials.map_err(|error| {
            let class = if error.is_loading() || error.is_not_supported() || error.is_unknown_type() {
                ErrorClass::Misconfigured
            } else {
                ErrorClass::Denied
            };
            BackendError::new(class, self.attempt()).with_source(error).with_hint(HINT)
        })?;
        let made = Made { credentials: Arc::new(credentials), at: Instant::now() };
        *held = Some(made.clone());
        Ok(made)
    }

    fn forget(&self, made: &Made) {
        let mut held = self.held();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.credentials, &made.credentials)) {
            *held = None;
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Made>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self) -> String {
        format!("getting an ID token for {}", self.audience)
    }

    fn failed(&self, error: CredentialsError) -> BackendError {
        let class = if error.is_transient() { ErrorClass::Transient } else { ErrorClass::Denied };
        BackendError::new(class, self.attempt()).with_source(error).with_hint(HINT)
    }
}

/// Google's crates take the process's TLS, and there is none until somebody says which.
fn tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("TLS: the program has chosen for itself");
        }
    });
}

//! Access tokens that are made anew.
//!
//! The official crate keeps a token, and renews it four minutes before it expires. What it leaves to its users is done here,
//! as for ID tokens (`token.rs`): a token that is refused before its time is replaced, once for all requests that were
//! under way with it, and credentials that have failed for good are asked again with the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};

use super::Access;

/// Credentials of one access, for all that call with it.
#[derive(Debug, Clone)]
pub(crate) struct Renewing(Arc<State>);

#[derive(Debug)]
struct State {
    access: Access,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    /// How often they were made.
    number: Number,
    /// None where the last were of no use.
    credentials: Option<Credentials>,
}

/// Which credentials a request was sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl Renewing {
    /// An error where there are none. Nothing is fetched yet.
    pub(crate) fn new(access: Access) -> Result<Self, String> {
        let credentials = Some(access.found()?);
        Ok(Self(Arc::new(State { access, held: Mutex::new(Held { number: Number(1), credentials }) })))
    }

    /// Those that hold now. To be asked before a request is sent, for [`Renewing::refused`].
    pub(crate) fn number(&self) -> Number {
        self.held().number
    }

    /// A request was answered with 401. Whether it may be sent again, since there will be another token.
    pub(crate) fn refused(&self, number: Number) -> bool {
        let can = self.0.access.token.is_none() && !self.0.access.anonymous;
        if can {
            tracing::debug!("an access token was refused before its time, and is made anew");
            self.forget(number);
        }
        can
    }

    /// What requests carry.
    pub(crate) async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let (number, credentials) = self.current()?;
        let headers = credentials.headers(extensions).await;
        if headers.as_ref().is_err_and(|error| !error.is_transient()) {
            // They would say the same for ever.
            self.forget(number);
        }
        headers
    }

    fn current(&self) -> Result<(Number, Credentials), CredentialsError> {
        let mut held = self.held();
        let credentials = if let Some(credentials) = &held.credentials {
            credentials.clone()
        } else {
            let made = self.0.access.found().map_err(|why| CredentialsError::from_msg(false, why))?;
            held.credentials = Some(made.clone());
            made
        };
        Ok((held.number, credentials))
    }

    /// Others of the same burst of requests may have seen to it already.
    fn forget(&self, number: Number) {
        let mut held = self.held();
        if held.number == number {
            *held = Held { number: Number(number.0 + 1), credentials: None };
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialsProvider for Renewing {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        Self::headers(self, extensions).await
    }

    async fn universe_domain(&self) -> Option<String> {
        self.current().ok()?.1.universe_domain().await
    }
}

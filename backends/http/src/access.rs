//! How calls get in: what each carries so that the other side lets it in, and what it means when it does not.

use std::fmt;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use rustwren_core::auth::{HEADER, Secrets, Signer};
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind, Result};

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a str,
    /// Path and query, behind the URL of the workers.
    pub target: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

/// A call that was answered otherwise than by a runtime in its own words: by what stands in front of it.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// Where it was made, for messages.
    pub place: &'a str,
    /// The answer's status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The beginning of its body.
    pub body: &'a [u8],
}

/// The manner in which workers know who calls.
#[async_trait]
pub trait Access: fmt::Debug + Send + Sync + 'static {
    /// Puts onto the call what proves who makes it.
    async fn prove(&self, call: Call<'_>, headers: &mut HeaderMap) -> Result<(), BackendError>;

    /// The other side does not know the caller (it has answered 401), and so nobody has taken the call. Whether there is
    /// a new proof now, with which the call is worth making once more.
    async fn renew(&self) -> bool {
        false
    }

    /// What a refusal means here, unless it is what it means of any HTTP server.
    fn refusal(&self, _refused: &Refused<'_>) -> Option<BackendError> {
        None
    }
}

/// Calls are signed with a secret that both sides have.
#[derive(Debug)]
pub struct Signed(Signer);

impl Signed {
    /// Signs with the first of these.
    pub fn new(secrets: &Secrets) -> Result<Self> {
        let secret = secrets.first().ok_or_else(|| Error::new(ErrorKind::Config, "there is no secret"))?;
        Ok(Self(Signer::new(secret.clone())))
    }
}

#[async_trait]
impl Access for Signed {
    async fn prove(&self, call: Call<'_>, headers: &mut HeaderMap) -> Result<(), BackendError> {
        let signature = self.0.sign(call.method, call.target, call.body)?;
        let value = HeaderValue::try_from(signature).map_err(|error| {
            BackendError::new(ErrorClass::Internal, "a signature is no header").with_source(error)
        })?;
        headers.insert(HEADER, value);
        Ok(())
    }

    fn refusal(&self, refused: &Refused<'_>) -> Option<BackendError> {
        let denied = matches!(refused.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        denied.then(|| {
            BackendError::new(ErrorClass::Denied, format!("{} answered {}", refused.place, refused.status)).with_hint(
                "the secret must be one that the runtimes have, and the clocks of both sides may differ by a minute \
                 at most",
            )
        })
    }
}

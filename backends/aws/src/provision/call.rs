//! Calls to AWS, each under the name that IAM has for it.

use std::error::Error as StdError;
use std::future::Future;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::BoxFuture;
use rustwren_core::error::{Error, ErrorKind};

use crate::error::{Cause, Failure};

/// Where the policies stand that a missing permission is mended with.
const POLICIES: &str = "docs/aws.md has the policy of whoever sets up";

/// A call that AWS did not carry out.
#[derive(Debug)]
pub(crate) struct Refusal {
    action: &'static str,
    attempted: String,
    pub(crate) failure: Box<Failure>,
}

impl Refusal {
    /// Whether it has one of these names.
    pub(crate) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.failure.code())
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.failure.status == Some(404)
            || self.is(&["NoSuchEntity", "ResourceNotFoundException", "NoSuchBucket"])
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { action, attempted, failure } = refusal;
        let denied = failure.cause == Cause::Refused && failure.status == Some(403);
        let error = Error::from((*failure).into_error(&attempted));
        match error.hint() {
            None if denied && error.kind() == ErrorKind::Denied => {
                error.with_hint(format!("allow {action}: {POLICIES}"))
            }
            _ => error,
        }
    }
}

/// Makes a call. `action` is what IAM calls it, `attempted` what it is for: `making the bucket b`. On the heap: what the SDK
/// holds of a request is large.
pub(crate) fn call<'a, T, E>(
    action: &'static str,
    attempted: impl Into<String>,
    sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
) -> BoxFuture<'a, Result<T, Refusal>>
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    tracing::debug!(action, "calling AWS");
    let attempted = attempted.into();
    Box::pin(async move {
        sent.await.map_err(|error| Refusal { action, attempted, failure: Box::new(Failure::of(&error)) })
    })
}

/// The answer, or none where what was asked for is not there.
pub(crate) fn if_there<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.is_missing() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// A request that cannot be built: a bug of ours, since what users write is checked before.
pub(crate) fn unbuildable(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "a request to AWS cannot be built").with_source(error)
}

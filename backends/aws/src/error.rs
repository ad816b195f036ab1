//! The one place where answers of AWS become [`BackendError`]s: what they mean for the caller, and the mend.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rustwren_core::error::{BackendError, ErrorClass, Reply, chain};

mod codes;

/// Headers in which services say which of their log lines is about this request.
const REQUEST_IDS: [&str; 2] = ["x-amz-request-id", "x-amzn-requestid"];

/// The header in which S3 names the region of a bucket that was looked for in another.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// How a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The service has said no.
    Refused,
    /// There were no credentials to sign it with. It was not sent.
    NoCredentials,
    /// It cannot be sent as it is: a bug, or a setting that cannot work.
    NotSent,
    /// It was not answered in time. It may have been carried out.
    Silent,
    /// The connection failed or the answer is not what it should be. It may have been carried out.
    Broken,
}

/// A failed request, as data: without the types of its service, and without secrets.
#[derive(Debug)]
pub struct Failure {
    pub(crate) cause: Cause,
    /// HTTP status of the answer.
    pub(crate) status: Option<u16>,
    /// The service's own name for the error. Answers without a body (to HEAD) have none.
    pub(crate) code: Option<String>,
    /// What the service, or this side, says about it.
    pub(crate) message: String,
    request_id: Option<String>,
    /// How long the service asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The region of the bucket.
    pub(crate) region: Option<String>,
}

impl Failure {
    /// What an SDK's error says.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let cause = match error {
            _ if find::<CredentialsError>(error).is_some() => Cause::NoCredentials,
            SdkError::ServiceError(_) => Cause::Refused,
            SdkError::TimeoutError(_) => Cause::Silent,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Cause::Silent,
            SdkError::DispatchFailure(failure) if failure.is_user() => Cause::NotSent,
            SdkError::ConstructionFailure(_) => Cause::NotSent,
            _ => Cause::Broken,
        };
        let answer = error.raw_response();
        let header = |name: &str| answer.and_then(|answer| answer.headers().get(name)).map(str::to_owned);
        let service = error.as_service_error();
        Self {
            cause,
            status: answer.map(|answer| answer.status().as_u16()),
            code: service.and_then(|service| service.code()).map(str::to_owned),
            message: match service {
                Some(service) => service.message().unwrap_or_default().to_owned(),
                None => chain(error),
            },
            request_id: REQUEST_IDS.iter().find_map(|name| header(name)),
            retry_after: retry_after(&header),
            region: header(BUCKET_REGION),
        }
    }

    /// A failure of this side's, or one that shows only in the body of an answer.
    pub(crate) fn ours(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            status: None,
            code: None,
            message: message.into(),
            request_id: None,
            retry_after: None,
            region: None,
        }
    }

    /// The service's name for it, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    /// What the service, or this side, says about it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// How to mend it, where the service at hand has no better mend.
    pub(crate) fn hint(&self) -> Option<String> {
        codes::hint(self)
    }

    /// Whether the request may have been carried out all the same.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self.cause {
            Cause::Silent | Cause::Broken => true,
            Cause::Refused => self.status.is_none_or(|status| status >= 500),
            Cause::NoCredentials | Cause::NotSent => false,
        }
    }

    /// What it means, where the service at hand has no meaning of its own for it.
    pub(crate) fn class(&self) -> ErrorClass {
        match self.cause {
            Cause::Refused => codes::class(self),
            Cause::NoCredentials => ErrorClass::Denied,
            Cause::NotSent => ErrorClass::Misconfigured,
            Cause::Silent => ErrorClass::TimedOut,
            Cause::Broken => ErrorClass::Transient,
        }
    }

    /// The error for the caller: `attempted` (`reading s3://bucket/key`), what came back, and the mend.
    #[cfg(any(feature = "compute", feature = "provision", test))]
    pub(crate) fn into_error(self, attempted: &str) -> BackendError {
        let class = self.class();
        let hint = self.hint();
        self.into_error_as(class, hint, attempted)
    }

    /// The same, where the service at hand knows better what it means or how to mend it.
    pub(crate) fn into_error_as(
        self,
        class: ErrorClass,
        hint: Option<String>,
        attempted: &str,
    ) -> BackendError {
        let error = BackendError::new(class, format!("{attempted}: {}", self.said()));
        error.with_optional_hint(hint)
    }

    /// What came back, in one line.
    fn said(&self) -> String {
        let problem = match self.cause {
            Cause::NoCredentials => Some("no credentials"),
            Cause::Silent => Some("no answer in time"),
            Cause::NotSent => Some("the request could not be made"),
            Cause::Refused | Cause::Broken => None,
        };
        let reply = Reply {
            problem,
            code: self.code.as_deref(),
            status: self.status,
            message: &self.message,
            request_id: self.request_id.as_deref(),
        };
        reply.to_string()
    }
}

/// An error and its sources.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The first error of this type among an error and its sources.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    sources(error).find_map(|error| error.downcast_ref())
}

/// Seconds in `retry-after`, as HTTP has it, or milliseconds in the header of AWS's own. Dates are not used by AWS.
fn retry_after(header: &dyn Fn(&str) -> Option<String>) -> Option<Duration> {
    let number = |name: &str| header(name)?.trim().parse().ok();
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::refused;
    use super::*;

    #[test]
    fn the_message_says_what_was_attempted_and_what_came_back() {
        let failure = refused(403, "AccessDenied", &[("x-amz-request-id", "R1")]);
        let error = failure.into_error("reading s3://b/k");
        assert_eq!(error.class(), ErrorClass::Denied);
        assert_eq!(error.to_string(), "reading s3://b/k: AccessDenied (403): told so [request R1]");
    }

    #[test]
    fn waiting_times() {
        let after = |name, value| refused(503, "SlowDown", &[(name, value)]).retry_after;
        assert_eq!(after("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(after("x-amz-retry-after", "1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(after("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(after("x-other", "2"), None);
    }

    #[test]
    fn what_may_have_happened() {
        assert!(refused(500, "InternalError", &[]).may_have_happened());
        assert!(refused(503, "SlowDown", &[]).may_have_happened());
        assert!(!refused(403, "AccessDenied", &[]).may_have_happened());
        assert!(Failure::ours(Cause::Silent, "").may_have_happened());
        assert!(!Failure::ours(Cause::NoCredentials, "").may_have_happened());
    }

    #[test]
    fn sources_are_searched() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner;
        assert!(find::<Inner>(&Outer(Inner)).is_some());
    }
}

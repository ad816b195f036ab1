//! The one place where answers of Google Cloud become [`BackendError`]s: what they mean for the caller, and the mend.

use std::time::Duration;

use google_cloud_gax::error::rpc::StatusDetails;
use google_cloud_storage::Error as SdkError;
use http::HeaderMap;
use rustwren_core::error::{BackendError, ErrorClass, Reply, chain};
use serde::Deserialize;

/// The header in which Cloud Storage says which of its log lines is about this request.
const REQUEST_ID: &str = "x-guploader-uploadid";

/// More of a body that is no error of the API's is not shown.
const LONGEST_MESSAGE: usize = 300;

/// Reasons that ask for a slower pace, with whatever status.
const THROTTLES: &[&str] =
    &["dailyLimitExceeded", "quotaExceeded", "rateLimitExceeded", "userRateLimitExceeded"];

/// How a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The service has said no.
    Refused,
    /// There were no credentials to send along. It was not sent.
    NoCredentials {
        /// Whether they may be there in a moment: whoever gives them did not answer.
        is_passing: bool,
    },
    /// It cannot be sent as it is: a bug, or a setting that cannot work.
    NotSent,
    /// It was not answered in time. It may have been carried out.
    Silent,
    /// The connection failed or the answer is not what it should be. It may have been carried out.
    Broken,
}

/// A failed request, as data: without the types of the crate that sent it, and without secrets.
#[derive(Debug)]
pub struct Failure {
    pub(crate) cause: Cause,
    /// HTTP status of the answer.
    pub(crate) status: Option<u16>,
    /// The service's own name for the error.
    pub(crate) reason: Option<String>,
    /// What the service, or this side, says about it.
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    /// How long the service asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

/// An error as the JSON API has it.
#[derive(Deserialize)]
struct Envelope {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Item>,
    /// Newer services name the error here.
    status: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    reason: Option<String>,
}

impl Failure {
    /// What an error of the crate's says.
    pub(crate) fn of(error: &SdkError) -> Self {
        if let Some(status) = error.http_status_code() {
            let none = HeaderMap::new();
            let headers = error.http_headers().unwrap_or(&none);
            let mut failure = match error.http_payload() {
                Some(body) => Self::of_answer(status, headers, body),
                None => Self::of_answer(status, headers, &[]),
            };
            if let Some(said) = error.status() {
                failure.message.clone_from(&said.message);
                failure.reason = said.details.iter().find_map(|detail| match detail {
                    StatusDetails::ErrorInfo(info) => Some(info.reason.clone()),
                    _ => None,
                });
            }
            return failure;
        }
        let cause = if error.is_authentication() {
            Cause::NoCredentials { is_passing: is_passing(error) }
        } else if error.is_timeout() {
            Cause::Silent
        } else if error.is_serialization() || error.is_binding() {
            Cause::NotSent
        } else {
            Cause::Broken
        };
        Self::ours(cause, chain(error))
    }

    /// What an answer to a request of our own says.
    pub(crate) fn of_answer(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let (reason, message) = match serde_json::from_slice::<Envelope>(body) {
            Ok(Envelope { error }) => {
                let reason = error.errors.into_iter().find_map(|item| item.reason).or(error.status);
                (reason, error.message)
            }
            // Where content was asked for, the message is all that is sent.
            Err(_) => (None, String::from_utf8_lossy(body).chars().take(LONGEST_MESSAGE).collect()),
        };
        Self {
            cause: Cause::Refused,
            status: Some(status),
            reason: reason.filter(|reason| !reason.is_empty()),
            message,
            request_id: header(REQUEST_ID),
            // Dates are not used by Google.
            retry_after: header("retry-after")
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs),
        }
    }

    /// What is wrong where a request of our own was not answered. Addresses are left out: that of an upload is as good as
    /// a token.
    pub(crate) fn of_http(error: reqwest::Error) -> Self {
        let cause = if error.is_timeout() {
            Cause::Silent
        } else if error.is_builder() {
            Cause::NotSent
        } else {
            Cause::Broken
        };
        Self::ours(cause, chain(&error.without_url()))
    }

    /// A failure of this side's.
    pub(crate) fn ours(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            status: None,
            reason: None,
            message: message.into(),
            request_id: None,
            retry_after: None,
        }
    }

    /// The service's name for it, or nothing.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// Whether the request may have been carried out all the same.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self.cause {
            Cause::Silent | Cause::Broken => true,
            Cause::Refused => self.status.is_none_or(|status| status >= 500 || status == 408),
            Cause::NoCredentials { .. } | Cause::NotSent => false,
        }
    }

    /// What it means, where the service at hand has no meaning of its own for it.
    pub(crate) fn class(&self) -> ErrorClass {
        match self.cause {
            Cause::NoCredentials { is_passing: true } | Cause::Broken => ErrorClass::Transient,
            Cause::NoCredentials { is_passing: false } => ErrorClass::Denied,
            Cause::NotSent => ErrorClass::Misconfigured,
            Cause::Silent => ErrorClass::TimedOut,
            Cause::Refused => self.class_of_refusal(),
        }
    }

    fn class_of_refusal(&self) -> ErrorClass {
        let throttled = ErrorClass::Throttled { retry_after: self.retry_after };
        if THROTTLES.contains(&self.reason()) {
            return throttled;
        }
        match self.status {
            Some(429 | 503) => throttled,
            Some(401 | 403) => ErrorClass::Denied,
            Some(404) => ErrorClass::NotFound,
            Some(300..400 | 405 | 501) => ErrorClass::Misconfigured,
            Some(408 | 500..) => ErrorClass::Transient,
            Some(400..500) => ErrorClass::Invalid,
            _ => ErrorClass::Internal,
        }
    }

    /// How to mend it, where the service at hand has no better mend.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match (self.cause, self.status) {
            (Cause::NoCredentials { .. }, _) => {
                "log in (`gcloud auth application-default login`), or set GOOGLE_APPLICATION_CREDENTIALS to the file of a \
                 service account's key"
            }
            (Cause::Broken, None) => "is `endpoint` right, and is the network there?",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The error for the caller: `attempted` (`reading gs://bucket/key`), what came back, and the mend.
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
            Cause::NoCredentials { .. } => Some("no credentials"),
            Cause::Silent => Some("no answer in time"),
            Cause::NotSent => Some("the request could not be made"),
            Cause::Refused | Cause::Broken => None,
        };
        let reply = Reply {
            problem,
            code: self.reason.as_deref(),
            status: self.status,
            message: &self.message,
            request_id: self.request_id.as_deref(),
        };
        reply.to_string()
    }
}

/// Whether whoever gives credentials failed in passing.
fn is_passing(error: &SdkError) -> bool {
    let source = std::error::Error::source(error);
    let credentials =
        source.and_then(|source| source.downcast_ref::<google_cloud_auth::errors::CredentialsError>());
    credentials.is_some_and(google_cloud_auth::errors::CredentialsError::is_transient)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Failure;

    /// What comes of an answer with this status, reason (a body without JSON where empty) and message.
    pub(crate) fn refused(status: u16, reason: &str, message: &str) -> Failure {
        let body = if reason.is_empty() {
            message.to_owned()
        } else {
            let errors = [serde_json::json!({"reason": reason})];
            serde_json::json!({"error": {"code": status, "message": message, "errors": errors}}).to_string()
        };
        Failure::of_answer(status, &http::HeaderMap::new(), body.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::refused;
    use super::*;

    #[test]
    fn classes() {
        let throttled = ErrorClass::Throttled { retry_after: None };
        for (status, reason, class) in [
            (429, "rateLimitExceeded", throttled),
            (429, "", throttled),
            (403, "userRateLimitExceeded", throttled),
            (403, "quotaExceeded", throttled),
            (503, "backendError", throttled),
            (500, "backendError", ErrorClass::Transient),
            (502, "", ErrorClass::Transient),
            (408, "", ErrorClass::Transient),
            (401, "authError", ErrorClass::Denied),
            (403, "forbidden", ErrorClass::Denied),
            (404, "notFound", ErrorClass::NotFound),
            (400, "invalid", ErrorClass::Invalid),
            (307, "", ErrorClass::Misconfigured),
        ] {
            assert_eq!(refused(status, reason, "told so").class(), class, "{status} {reason}");
        }
    }

    #[test]
    fn the_message_says_what_was_attempted_and_what_came_back() {
        let headers = HeaderMap::from_iter([
            (http::HeaderName::from_static(REQUEST_ID), http::HeaderValue::from_static("R1")),
            (http::header::RETRY_AFTER, http::HeaderValue::from_static("2")),
        ]);
        let body = br#"{"error": {"code": 403, "message": "told so", "errors": [{"reason": "forbidden"}]}}"#;
        let failure = Failure::of_answer(403, &headers, body);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(2)));
        let error = failure.into_error_as(ErrorClass::Denied, None, "reading gs://b/k");
        assert_eq!(error.to_string(), "reading gs://b/k: forbidden (403): told so [request R1]");
        let plain = Failure::of_answer(404, &HeaderMap::new(), b"No such object: b/k\n");
        let error = plain.into_error_as(ErrorClass::NotFound, None, "reading gs://b/k");
        assert_eq!(error.to_string(), "reading gs://b/k: HTTP status 404: No such object: b/k");
    }

    #[test]
    fn what_may_have_happened() {
        assert!(refused(500, "backendError", "").may_have_happened());
        assert!(refused(503, "backendError", "").may_have_happened());
        assert!(!refused(403, "forbidden", "").may_have_happened());
        assert!(!refused(429, "rateLimitExceeded", "").may_have_happened());
        assert!(Failure::ours(Cause::Silent, "").may_have_happened());
        assert!(!Failure::ours(Cause::NoCredentials { is_passing: true }, "").may_have_happened());
    }
}

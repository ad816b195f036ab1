//! Why a call was not carried out, whoever has made it: Google's clients or our own.

use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::rpc::{Status, StatusDetails};
use rustwren_core::error::{Error, ErrorKind};

use crate::rest::Api;

/// More of what is no error of an API's is not shown.
const LONGEST_MESSAGE: usize = 300;

const CREDENTIALS: &str = "log in (`gcloud auth application-default login`), or name a service account's file in \
                           GOOGLE_APPLICATION_CREDENTIALS";

/// A call that was not carried out.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: ErrorKind,
    /// What the call was for.
    attempt: String,
    /// Of the answer, where there was one.
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    hint: Option<String>,
}

impl Refusal {
    /// An answer that is no success.
    pub(crate) fn of(api: Api, attempt: &str, status: u16, body: &bytes::Bytes) -> Self {
        if let Ok(said) = Status::try_from(body) {
            return Self::said(api, attempt, status, &said);
        }
        let text: String = String::from_utf8_lossy(body).chars().take(LONGEST_MESSAGE).collect();
        Self { kind: kind(status), status: Some(status), ..Self::ours(attempt, text) }
    }

    /// An error in the words of an API.
    fn said(api: Api, attempt: &str, status: u16, said: &Status) -> Self {
        let infos = || {
            said.details.iter().filter_map(|detail| match detail {
                StatusDetails::ErrorInfo(info) => Some(info),
                _ => None,
            })
        };
        let mut class = kind(status);
        let off =
            infos().find(|info| ["SERVICE_DISABLED", "accessNotConfigured"].contains(&info.reason.as_str()));
        let hint = if let Some(off) = off {
            class = ErrorKind::Config;
            let service = off.metadata.get("service").map_or(api.host(), String::as_str);
            let project =
                off.metadata.get("consumer").map_or("PROJECT", |name| name.trim_start_matches("projects/"));
            Some(format!("turn the API on: `gcloud services enable {service} --project={project}`"))
        } else if let Some(permission) = infos().find_map(|info| info.metadata.get("permission")) {
            Some(format!("whoever sets up needs {permission}: docs/gcp.md has the roles"))
        } else if status == 401 {
            Some(CREDENTIALS.to_owned())
        } else if status == 403 {
            Some("whoever sets up needs the roles in docs/gcp.md".to_owned())
        } else {
            None
        };
        Self { kind: class, status: Some(status), hint, ..Self::ours(attempt, said.message.clone()) }
    }

    /// What one of Google's clients says of a call.
    #[cfg(feature = "provision")]
    pub(crate) fn of_client(api: Api, attempt: &str, error: &google_cloud_gax::error::Error) -> Self {
        use std::error::Error as _;

        let status = error.http_status_code();
        if let (Some(status), Some(said)) = (status, error.status()) {
            return Self::said(api, attempt, status, said);
        }
        if let Some(status) = status {
            let body = error.http_payload().cloned().unwrap_or_default();
            return Self::of(api, attempt, status, &body);
        }
        let why = error.source();
        if let Some(why) = why.and_then(|why| why.downcast_ref::<CredentialsError>()) {
            return Self::no_token(attempt, why);
        }
        let message = why.map_or_else(|| error.to_string(), rustwren_core::error::chain);
        if error.is_io() || error.is_connect() || error.is_timeout() || error.is_transport() {
            return Self::ours(attempt, message);
        }
        let message = if error.is_deserialization() {
            format!("the answer of {} is not what it should be: {message}", api.host())
        } else {
            message
        };
        Self::misread(attempt, message)
    }

    /// One that no answer came to.
    pub(crate) fn ours(attempt: &str, message: String) -> Self {
        let attempt = attempt.to_owned();
        Self { kind: ErrorKind::Unavailable, attempt, status: None, message, hint: None }
    }

    /// Google and we do not understand each other.
    pub(crate) fn misread(attempt: &str, message: String) -> Self {
        Self { kind: ErrorKind::Internal, ..Self::ours(attempt, message) }
    }

    /// There are no credentials.
    pub(crate) fn denied(attempt: &str, message: String) -> Self {
        Self { kind: ErrorKind::Denied, hint: Some(CREDENTIALS.to_owned()), ..Self::ours(attempt, message) }
    }

    /// The credentials give no token.
    pub(crate) fn no_token(attempt: &str, error: &CredentialsError) -> Self {
        let kind = if error.is_transient() { ErrorKind::Unavailable } else { ErrorKind::Denied };
        let why = format!("there is no access token: {}", rustwren_core::error::chain(error));
        Self { kind, ..Self::denied(attempt, why) }
    }

    /// Whether it may pass by itself within a minute.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.status, Some(429 | 502 | 503 | 504)) || self.is_conflict()
    }

    /// Whether the caller lacks a permission. An API that is off is something else.
    pub(crate) fn is_permission(&self) -> bool {
        self.status == Some(403) && self.kind == ErrorKind::Denied
    }

    /// Whether somebody else has changed the same thing at the same time.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.status, Some(409 | 412))
    }
}

fn kind(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Denied,
        409 | 412 | 429 | 500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { kind, attempt, status, message, hint } = refusal;
        let status = status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
        let error = Self::new(kind, format!("{attempt}: {message}{status}"));
        error.with_optional_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: u16, body: &str) -> Error {
        Refusal::of(Api::Storage, "looking", status, &body.to_owned().into()).into()
    }

    #[test]
    fn an_api_that_is_off_is_named_in_the_older_form_of_errors_too() {
        let said = json!({
            "error": {
                "code": 403,
                "message": "Access Not Configured",
                "errors": [{ "domain": "usageLimits", "reason": "accessNotConfigured", "message": "off" }],
            },
        });
        let error = of(403, &said.to_string());
        assert_eq!(error.kind(), ErrorKind::Config);
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("gcloud services enable storage.googleapis.com"), "{hint}");
    }

    #[test]
    fn what_is_no_error_of_an_apis_is_told_in_part() {
        let error = of(502, &"x".repeat(1000));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.to_string(), format!("looking: {} (HTTP 502)", "x".repeat(LONGEST_MESSAGE)));
    }
}

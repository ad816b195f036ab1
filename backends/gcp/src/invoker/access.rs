//! How calls get past Google's front ends, and what those say when they do not.

use std::time::Duration;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_http::{Access, Call, Refused};

use crate::config::functions::ComputeConfig;
use crate::token::IdTokens;

/// The shim says with it what has become of the runtime (`shim/index.js`).
const WORKER: &str = "x-rustwren-worker";
const BEARER: &str = "Bearer ";
/// How much of a body goes into a message.
const TAIL: usize = 2000;

/// ID tokens, or nothing for services that let everybody in.
#[derive(Debug)]
pub(super) struct Google {
    tokens: Option<IdTokens>,
}

impl Google {
    /// For the service at this address.
    pub(super) fn new(config: &ComputeConfig, url: &str) -> Self {
        let audience = config.audience.as_deref().unwrap_or(url);
        let tokens = config.proves.then(|| IdTokens::new(audience.to_owned(), config.metadata.clone()));
        Self { tokens }
    }
}

#[async_trait]
impl Access for Google {
    async fn prove(&self, _: Call<'_>, headers: &mut HeaderMap) -> Result<(), BackendError> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let token = tokens.token().await?;
        let mut value = HeaderValue::try_from(format!("{BEARER}{token}")).map_err(|error| {
            BackendError::new(ErrorClass::Internal, "an ID token is no header").with_source(error)
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn renew(&self, refused: &HeaderMap) -> bool {
        let value = refused.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix(BEARER));
        self.tokens.as_ref().zip(token).is_some_and(|(tokens, token)| tokens.refused(token))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Option<BackendError> {
        let (class, hint) = meaning(refused)?;
        let mut message = format!("{} answered {}", refused.place, refused.status);
        if let Some(said) = said(refused) {
            message = message + ": " + &said;
        }
        Some(BackendError::new(class, message).with_hint(hint))
    }
}

fn meaning(refused: &Refused<'_>) -> Option<(ErrorClass, &'static str)> {
    let worker = refused.headers.get(WORKER).map(HeaderValue::as_bytes);
    Some(match refused.status {
        StatusCode::INTERNAL_SERVER_ERROR if worker == Some(b"ended") => (
            ErrorClass::WorkerCrashed,
            "the instance's log says more; where it had too little memory, raise `memory`",
        ),
        StatusCode::INTERNAL_SERVER_ERROR if worker == Some(b"not-started") => (
            ErrorClass::Misconfigured,
            "the runtime's program or its environment (RUSTWREN__STORAGE__...) is not what it should be: deploy it anew",
        ),
        StatusCode::UNAUTHORIZED => (
            ErrorClass::Denied,
            "the ID token is not one for this service: is `url` its address, or `audience` what it expects?",
        ),
        StatusCode::FORBIDDEN => (
            ErrorClass::Denied,
            "the caller needs the role Cloud Run Invoker: `gcloud run services add-iam-policy-binding SERVICE \
             --region=REGION --member=serviceAccount:CALLER --role=roles/run.invoker`; a service whose ingress is \
             restricted takes calls from within the project alone",
        ),
        StatusCode::NOT_FOUND => (
            ErrorClass::Misconfigured,
            "there is no service at this address, or it is another one's: `gcloud run services list` names those of a project",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorClass::Invalid, "Google takes requests of at most 32 MiB"),
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds =
                refused.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            (
                ErrorClass::Throttled { retry_after: seconds.map(Duration::from_secs) },
                "Google has no more instances for the service at the moment: raise its limit of instances, or lower `workers`",
            )
        }
        StatusCode::GATEWAY_TIMEOUT => (
            ErrorClass::TimedOut,
            "the worker did not hand back in time: `timeout` must be no more than the service's own limit",
        ),
        _ => return None,
    })
}

/// What a person can read of the answer's body.
fn said(refused: &Refused<'_>) -> Option<String> {
    let kind = refused.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Google's pages of HTML say no more than the status.
    if !kind.starts_with("text/plain") {
        return None;
    }
    let text = String::from_utf8_lossy(&refused.body[..refused.body.len().min(TAIL)]);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Option<BackendError> {
        let headers = headers
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        let refused = Refused { place: "https://x", status, headers: &headers, body: body.as_bytes() };
        Google { tokens: None }.refusal(&refused)
    }

    #[test]
    fn what_google_says_has_a_class_and_a_mend() {
        let throttled = |seconds| ErrorClass::Throttled { retry_after: seconds };
        for (status, headers, expected) in [
            (401, &[][..], ErrorClass::Denied),
            (403, &[], ErrorClass::Denied),
            (404, &[], ErrorClass::Misconfigured),
            (413, &[], ErrorClass::Invalid),
            (429, &[], throttled(None)),
            (429, &[("retry-after", "7")], throttled(Some(Duration::from_secs(7)))),
            (500, &[(WORKER, "ended")], ErrorClass::WorkerCrashed),
            (500, &[(WORKER, "not-started")], ErrorClass::Misconfigured),
            (504, &[], ErrorClass::TimedOut),
        ] {
            let error = error(status, headers, "").unwrap();
            assert_eq!(error.class(), expected, "{status} {headers:?}");
            assert!(error.hint().is_some(), "{status}");
        }
        // As for any server.
        for status in [500, 502, 503] {
            assert!(error(status, &[], "").is_none(), "{status}");
        }
    }

    #[test]
    fn text_is_passed_on_and_pages_are_not() {
        let said = |kind| error(403, &[("content-type", kind)], "<html> or what").unwrap().to_string();
        assert_eq!(said("text/plain"), "https://x answered 403 Forbidden: <html> or what");
        assert_eq!(said("text/html"), "https://x answered 403 Forbidden");
    }
}

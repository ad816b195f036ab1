//! How calls of a function app get in, and what its host and Azure's front end mean by their refusals.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use rustwren_core::error::{BackendError, ErrorClass, Result};
use rustwren_http::{Access, Call, Refused};

use crate::client;
use crate::config::{Auth, Hidden};

const KEY: HeaderName = HeaderName::from_static("x-functions-key");

/// The way in, where there is one.
pub(super) fn of(auth: &Auth, access: &client::Access) -> Result<Option<Arc<dyn Access>>> {
    Ok(match auth {
        Auth::Key(None) => None,
        Auth::Key(Some(key)) => Some(Arc::new(ByKey(key.clone()))),
        Auth::Entra { audience } => {
            let scope = format!("{}/.default", audience.trim_end_matches('/'));
            Some(Arc::new(ByToken { scope, credential: access.token_credential()? }))
        }
    })
}

/// Calls carry the function key.
#[derive(Debug)]
struct ByKey(Hidden);

#[async_trait]
impl Access for ByKey {
    async fn prove(&self, _: Call<'_>, headers: &mut HeaderMap) -> Result<(), BackendError> {
        headers.insert(KEY, secret(&self.0.0)?);
        Ok(())
    }

    fn refusal(&self, refused: &Refused<'_>) -> Option<BackendError> {
        refusal(
            refused,
            "the function key is not one of this app: `az functionapp function keys list` shows them",
        )
    }
}

/// Calls carry a token of Entra.
#[derive(Debug)]
struct ByToken {
    scope: String,
    credential: Arc<dyn TokenCredential>,
}

#[async_trait]
impl Access for ByToken {
    async fn prove(&self, _: Call<'_>, headers: &mut HeaderMap) -> Result<(), BackendError> {
        // Credentials keep tokens for as long as they hold.
        let token = self.credential.get_token(&[&self.scope], None).await.map_err(|error| {
            BackendError::new(ErrorClass::Denied, format!("there is no token for {}", self.scope))
                .with_source(error)
                .with_hint(client::LOG_IN)
        })?;
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", token.token.secret()))?);
        Ok(())
    }

    fn refusal(&self, refused: &Refused<'_>) -> Option<BackendError> {
        refusal(
            refused,
            "the app does not let this identity in: see its authentication, and `audience` in [compute]",
        )
    }
}

fn secret(text: &str) -> Result<HeaderValue, BackendError> {
    let mut value = HeaderValue::try_from(text).map_err(|error| {
        BackendError::new(ErrorClass::Misconfigured, "the proof is no header").with_source(error)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What does not mean the same as of any server.
fn refusal(refused: &Refused<'_>, who: &'static str) -> Option<BackendError> {
    let (class, hint) = match refused.status {
        StatusCode::UNAUTHORIZED => (ErrorClass::Denied, who),
        // What a stopped app answers, and one whose network lets nobody in.
        StatusCode::FORBIDDEN => (ErrorClass::Denied, "is the app stopped, or closed to this network?"),
        StatusCode::NOT_FOUND => (
            ErrorClass::NotFound,
            "the app has no such function, or is another one: see `app` in [compute], and deploy the runtime to it",
        ),
        // The host has passed the call on, and its handler has died over it.
        StatusCode::BAD_GATEWAY => {
            (ErrorClass::WorkerCrashed, "the app's log says how the runtime has ended")
        }
        StatusCode::GATEWAY_TIMEOUT => (
            ErrorClass::TimedOut,
            "it was not handed back in time: lower `timeout` in [compute], split the task, or use `trigger = \"queue\"`",
        ),
        _ => return None,
    };
    let message = format!("{} answered {}", refused.place, refused.status);
    Some(BackendError::new(class, message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_travels_unseen() {
        let access = of(&Auth::Key(Some(Hidden("hunter2".to_owned()))), &client::Access::default());
        let access = access.unwrap().unwrap();
        let mut headers = HeaderMap::new();
        let call = Call { method: "POST", target: "/v1/invoke", body: b"" };
        access.prove(call, &mut headers).await.unwrap();
        assert_eq!(headers[&KEY], "hunter2");
        assert!(!format!("{access:?} {headers:?}").contains("hunter2"));
    }

    #[test]
    fn refusals_are_classed() {
        let of = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let refused = Refused { place: "https://x", status, headers: &HeaderMap::new(), body: b"" };
            refusal(&refused, "who").map(|error| error.class())
        };
        for (status, class) in [
            (401, Some(ErrorClass::Denied)),
            (403, Some(ErrorClass::Denied)),
            (404, Some(ErrorClass::NotFound)),
            (502, Some(ErrorClass::WorkerCrashed)),
            (504, Some(ErrorClass::TimedOut)),
            (429, None),
            (503, None),
        ] {
            assert_eq!(of(status), class, "{status}");
        }
    }
}

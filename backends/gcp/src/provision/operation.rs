//! Operations that go on at Google after a call has been answered.

use std::time::Duration;

use rustwren_core::error::{Error, ErrorKind, Result};
use serde_json::Value;

use super::resource::{Patience, Pauses};
use crate::rest::{Api, Google, Request};

/// How long one is waited for. Functions are built from source, which takes minutes.
const LONGEST: Duration = Duration::from_mins(20);

/// Waits until an operation is over. It goes on by itself where that is given up: the next run finds what it has made.
pub(super) async fn wait(
    google: &Google,
    api: Api,
    begun: Value,
    attempt: &str,
    patience: Patience<'_>,
) -> Result<()> {
    let mut operation = begun;
    let mut pauses = Pauses::of(LONGEST);
    loop {
        if operation["done"].as_bool() == Some(true) {
            return match &operation["error"] {
                Value::Null => Ok(()),
                error => Err(failed(attempt, error)),
            };
        }
        let Some(name) = operation["name"].as_str().map(ToOwned::to_owned) else {
            let message = format!("{attempt}: Google's answer names no operation to wait for");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let Some(pause) = pauses.next() else {
            let message = format!("{attempt}: the operation {name} was not over after {LONGEST:?}");
            return Err(Error::new(ErrorKind::Unavailable, message).with_hint(
                "it goes on by itself: run `rustwren setup` again later, which finds what it has made",
            ));
        };
        patience.watch.waiting(patience.step, "Google is at it");
        patience.clock.sleep(pause).await;
        let look = || {
            google.call(Request::get(api, format!("/v2/{name}"), format!("{attempt}: asking how far it is")))
        };
        operation = patience.until_done(|_| None, look).await?;
    }
}

/// What an operation ended with, in the words of `google.rpc.Status`.
fn failed(attempt: &str, error: &Value) -> Error {
    const PERMISSION_DENIED: u64 = 7;
    const UNAVAILABLE: u64 = 14;
    let message = error["message"].as_str().unwrap_or("Google does not say why");
    let kind = match error["code"].as_u64() {
        Some(PERMISSION_DENIED) => ErrorKind::Denied,
        Some(UNAVAILABLE) => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    };
    Error::new(kind, format!("{attempt}: {message}")).with_hint(
        "`gcloud run services logs read SERVICE` has the instance's own words, where there are any",
    )
}

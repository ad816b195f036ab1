//! Tokens, and where programs on Google's machines get them: a metadata server, as
//! <https://cloud.google.com/compute/docs/metadata/overview> and
//! <https://cloud.google.com/docs/authentication/get-id-token> have it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Front, Request, Verdict};

/// A hundred years: where nothing else is said, none expires during a test.
const LONG: Duration = Duration::from_hours(100 * 365 * 24);
const ACCOUNT: &str = "/computeMetadata/v1/instance/service-accounts/default";

/// Tokens that a metadata server gives out, numbered from 1. Those above a number are let in.
#[derive(Debug)]
pub struct Tokens {
    lifetime: Duration,
    given: watch::Sender<usize>,
    revoked: Mutex<usize>,
    /// Statuses in place of the next tokens.
    refusals: Mutex<Vec<u16>>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self::lasting(LONG)
    }
}

impl Tokens {
    /// Each expires so long after it was given out.
    pub fn lasting(lifetime: Duration) -> Self {
        Self { lifetime, given: watch::Sender::new(0), revoked: Mutex::default(), refusals: Mutex::default() }
    }

    /// How many were given out.
    pub fn given(&self) -> usize {
        *self.given.borrow()
    }

    /// The same, for whoever waits for it.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.given.subscribe()
    }

    /// None of those given so far is let in any more.
    pub fn revoke(&self) {
        *lock(&self.revoked) = self.given();
    }

    /// In place of the next token there is this status.
    pub fn refuse_next(&self, status: u16) {
        lock(&self.refusals).push(status);
    }

    /// The number of the ID token that this request has, if it is let in at the service of this audience.
    pub fn of(&self, request: &Request, audience: &str) -> Option<usize> {
        let claims = URL_SAFE_NO_PAD.decode(bearer(request)?.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let number = claims["sub"].as_u64()? as usize;
        (claims["aud"] == audience && self.holds(number)).then_some(number)
    }

    /// The number of the access token that this request has, if it is let in.
    pub fn of_access(&self, request: &Request) -> Option<usize> {
        let number = bearer(request)?.strip_prefix("access-")?.parse().ok()?;
        self.holds(number).then_some(number)
    }

    fn holds(&self, number: usize) -> bool {
        number > *lock(&self.revoked)
    }

    /// A metadata server that gives them out.
    pub fn serve(self: &Arc<Self>) -> Front {
        let tokens = Arc::clone(self);
        Front::before("127.0.0.1:1", move |request| tokens.answer(request))
    }

    fn answer(&self, request: &Request) -> Verdict {
        let answer = |status, body| {
            let headers = vec![("metadata-flavor", "Google".to_owned())];
            Verdict::Answer { status, headers, body }
        };
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let what = path.strip_prefix(ACCOUNT).filter(|_| request.header("metadata-flavor") == Some("Google"));
        let audience = query.split('&').find_map(|pair| pair.strip_prefix("audience="));
        if !matches!((what, audience), (Some("/token"), _) | (Some("/identity"), Some(_))) {
            return answer(404, format!("there is no {}", request.path));
        }
        if let Some(status) = lock(&self.refusals).pop() {
            return answer(status, "as the test says".to_owned());
        }
        let number = self.given() + 1;
        let text = if let Some(audience) = audience {
            self.id_token(number, audience)
        } else {
            let token = format!("access-{number}");
            let seconds = self.lifetime.as_secs();
            json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" }).to_string()
        };
        self.given.send_replace(number);
        answer(200, text)
    }

    fn id_token(&self, number: usize, audience: &str) -> String {
        let audience = audience.replace("%3A", ":").replace("%2F", "/");
        #[expect(clippy::disallowed_methods, reason = "a date in a token is a date")]
        let expires = SystemTime::now() + self.lifetime;
        let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({ "aud": audience, "sub": number, "exp": expires });
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        [part("{}"), part(&claims.to_string()), part("signature")].join(".")
    }
}

fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// What a panicking test has left is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

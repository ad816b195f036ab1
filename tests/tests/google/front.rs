//! What stands before a service at Google, as its documentation has it: calls get in by ID tokens. And where those come
//! from: a metadata server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustwren_testkit::standins::{Front, Request, Verdict};
use serde_json::json;

/// Tokens, of which those above a number are let in.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: AtomicUsize,
    revoked: AtomicUsize,
    /// Statuses in place of the next tokens.
    refusals: Mutex<Vec<u16>>,
}

impl Tokens {
    /// How many were given out.
    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// None of those given so far is let in any more.
    pub(crate) fn revoke(&self) {
        self.revoked.store(self.given(), Ordering::SeqCst);
    }

    /// In place of the next token there is this status.
    pub(crate) fn refuse_next(&self, status: u16) {
        self.refusals.lock().unwrap().push(status);
    }

    /// The number of the token that this request has, if it is let in at the service of this audience.
    fn of(&self, request: &Request, audience: &str) -> Option<usize> {
        let token = request.header("authorization")?.strip_prefix("Bearer ")?;
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        let number = claims["sub"].as_u64()? as usize;
        (claims["aud"] == audience && number > self.revoked.load(Ordering::SeqCst)).then_some(number)
    }
}

/// What Google's tools ask for tokens on Google's machines.
pub(crate) fn metadata(tokens: &Arc<Tokens>) -> Front {
    let tokens = Arc::clone(tokens);
    Front::before("127.0.0.1:1", move |request| {
        let refusal = tokens.refusals.lock().unwrap().pop();
        let answer = |status, body| Verdict::Answer { status, headers: Vec::new(), body };
        if let Some(status) = refusal {
            return answer(status, "as the test says".to_owned());
        }
        let audience = request.path.split(['?', '&']).find_map(|pair| pair.strip_prefix("audience="));
        let asked =
            request.path.starts_with("/computeMetadata/v1/instance/service-accounts/default/identity?");
        let (Some(audience), true, Some("Google")) = (audience, asked, request.header("metadata-flavor"))
        else {
            return answer(404, format!("there is no {}", request.path));
        };
        let audience = audience.replace("%3A", ":").replace("%2F", "/");
        let number = tokens.given.fetch_add(1, Ordering::SeqCst) + 1;
        // For a hundred years: that a token is renewed before it expires is the official crate's own promise.
        let claims = json!({ "aud": audience, "sub": number, "exp": 4_900_000_000_u64 });
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        answer(200, [part("{}"), part(&claims.to_string()), part("signature")].join("."))
    })
}

/// Google's front end before a service: it lets in who has a token, and does to those calls what `judge` says.
pub(crate) fn front(
    service: &str,
    tokens: &Arc<Tokens>,
    judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static,
) -> (Front, Arc<Mutex<Vec<usize>>>) {
    let (tokens, seen) = (Arc::clone(tokens), Arc::new(Mutex::new(Vec::new())));
    let used = Arc::clone(&seen);
    let front = Front::before(service, move |request| {
        let audience = format!("http://{}", request.header("host").unwrap_or_default());
        match tokens.of(request, &audience) {
            Some(number) => {
                used.lock().unwrap().push(number);
                judge(request)
            }
            None => page(401, "Unauthorized"),
        }
    });
    (front, seen)
}

/// What Google's front ends say of their own: pages of HTML.
pub(crate) fn page(status: u16, title: &str) -> Verdict {
    Verdict::Answer {
        status,
        headers: vec![("content-type", "text/html; charset=UTF-8".to_owned())],
        body: format!("<html><head><title>{status} {title}</title></head></html>"),
    }
}

//! What stands before a service at Google, as its documentation has it: calls get in by ID tokens. And where the tokens
//! come from: a metadata server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustwren_core::percent::Text;
use rustwren_testkit::standins::{Front, Request, Verdict};

/// Tokens by number, each for an audience, as long as they hold.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: AtomicUsize,
    /// The first that is still let in.
    valid_from: AtomicUsize,
    /// What is to be said in place of the next tokens.
    refusals: Mutex<Vec<u16>>,
}

impl Tokens {
    /// How many were given out.
    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// None of those given so far is let in any more.
    pub(crate) fn revoke(&self) {
        self.valid_from.store(self.given(), Ordering::SeqCst);
    }

    /// Instead of the next token there is this status.
    pub(crate) fn refuse_next(&self, status: u16) {
        self.refusals.lock().unwrap().push(status);
    }

    /// Whether a call with this header may go to the service of this audience.
    fn lets_in(&self, header: Option<&str>, audience: &str) -> bool {
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        let Some(mut parts) = token.map(|token| token.split('.')) else { return false };
        let (claims, number) = (parts.nth(1).unwrap_or_default(), parts.next().unwrap_or_default());
        let number: usize = number.strip_prefix("signature-").unwrap_or_default().parse().unwrap_or(0);
        claims.contains(&encode(audience)) && number > self.valid_from.load(Ordering::SeqCst)
    }
}

//! Signatures of calls between RustWren's own programs, by a secret that both ends have.
//!
//! A call carries one header, [`HEADER`]:
//!
//! ```text
//! v1 key=<16 hex> time=<seconds since 1970> nonce=<32 hex> body=<SHA-256, 64 hex> mac=<64 hex>
//! ```
//!
//! `mac` is the HMAC-SHA256, by the secret of that key id, of the lines `rustwren v1`, method, target, key id, time, nonce
//! and body hash, each with a line feed behind it. The target is the path of the call with its query, counted from
//! the address that was configured: a balancer may put a prefix in front of it or take one away.
//!
//! A server knows from the header alone whether the caller has a secret, before it reads any of the body; that the body
//! is the one that was signed shows at its end. A call that was heard by somebody cannot be made a second time at the
//! same server: it remembers the nonces of the times that it accepts. Between servers of one fleet nothing is shared, so
//! where others can listen, TLS must keep them from it.

mod header;
mod nonces;
mod secret;
mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use header::Parts;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

use crate::error::{BackendError, ErrorClass};

pub use secret::{MIN_SECRET, Secret, Secrets};
pub use verify::{BodyCheck, Denied, Verifier, WINDOW};

/// The header that carries the signature.
pub const HEADER: &str = "x-rustwren-signature";

/// Signs calls.
#[derive(Debug, Clone)]
pub struct Signer {
    secret: Secret,
    random: SystemRandom,
}

impl Signer {
    /// Signs by this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secret, random: SystemRandom::new() }
    }

    /// The value of [`HEADER`] for a call with this body that is made now.
    pub fn sign(&self, method: &str, target: &str, body: &[u8]) -> Result<String, BackendError> {
        self.sign_at(unix_seconds(), method, target, body)
    }

    fn sign_at(&self, time: u64, method: &str, target: &str, body: &[u8]) -> Result<String, BackendError> {
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce).map_err(|_| {
            BackendError::new(ErrorClass::Internal, "the system gives no random numbers to sign a call with")
        })?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
        let parts = Parts { key: self.secret.id(), time, nonce, body: hash };
        Ok(parts.header(hmac::sign(self.secret.key(), &parts.signed(method, target)).as_ref()))
    }
}

/// The time that signatures carry. A clock that is wrong by more than [`WINDOW`] makes them useless, and the server says
/// so in its log.
#[expect(clippy::disallowed_methods, reason = "a date that two machines compare")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

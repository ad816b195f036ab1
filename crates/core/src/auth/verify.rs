//! The server's side: who may call.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ring::{digest, hmac};

use super::header::Parts;
use super::nonces::Nonces;
use super::secret::Secrets;
use super::unix_seconds;

/// How far the time of a signature may be from the server's.
pub const WINDOW: Duration = Duration::from_mins(1);
/// Nonces remembered, at most: some 50 MB. Enough for 8000 calls a second.
const NONCES: usize = 1 << 20;

/// Why a call is not accepted, for the server's log. The caller is told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It has no signature, or something else in its place.
    Unsigned,
    /// It is signed with a secret that this server does not have, or for something else than what it asks for.
    Wrong,
    /// It was signed so many seconds before (or, if negative, after) the server's time: too many.
    Time(i64),
    /// It was made before.
    Replayed,
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned => f.write_str("it is not signed"),
            Self::Wrong => f.write_str("its signature is wrong"),
            Self::Time(seconds) => write!(f, "it was signed {seconds} s ago by this machine's clock"),
            Self::Replayed => f.write_str("it was made before"),
        }
    }
}

/// Checks signatures.
#[derive(Debug)]
pub struct Verifier {
    secrets: Secrets,
    nonces: Mutex<Nonces>,
}

impl Verifier {
    /// Accepts calls signed with any of these secrets.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, nonces: Mutex::new(Nonces::new(NONCES)) }
    }

    /// Checks the header of a call. On success the caller has a secret, asks for exactly this, within [`WINDOW`] of now and
    /// for the first time; the body is still to be checked.
    ///
    /// What takes long is the same whether the secret is right or not, and the codes are compared in constant time.
    pub fn check(&self, header: Option<&str>, method: &str, target: &str) -> Result<BodyCheck, Denied> {
        self.check_at(unix_seconds(), header, method, target)
    }

    pub(super) fn check_at(
        &self,
        now: u64,
        header: Option<&str>,
        method: &str,
        target: &str,
    ) -> Result<BodyCheck, Denied> {
        let (parts, mac) = header.and_then(Parts::parse).ok_or(Denied::Unsigned)?;
        let signed = parts.signed(method, target);
        let mut right = false;
        for secret in self.secrets.iter().filter(|secret| secret.id() == parts.key) {
            right |= hmac::verify(secret.key(), &signed, &mac).is_ok();
        }
        if !right {
            return Err(Denied::Wrong);
        }
        let window = WINDOW.as_secs();
        if now.abs_diff(parts.time) > window {
            return Err(Denied::Time(now.cast_signed().saturating_sub_unsigned(parts.time)));
        }
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if !nonces.is_new(parts.time, parts.nonce, now.saturating_sub(window)) {
            return Err(Denied::Replayed);
        }
        Ok(BodyCheck { expected: parts.body, hash: digest::Context::new(&digest::SHA256) })
    }
}

/// Checks that a body is the one that was signed, while it is read.
#[derive(Clone)]
pub struct BodyCheck {
    expected: [u8; 32],
    hash: digest::Context,
}

impl std::fmt::Debug for BodyCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyCheck").finish_non_exhaustive()
    }
}

impl BodyCheck {
    /// Takes in the next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        self.hash.update(part);
    }

    /// Whether the body, now whole, is the one. Both hashes are the caller's to know, so this need not be constant in
    /// time.
    pub fn is_right(self) -> bool {
        self.hash.finish().as_ref() == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Secret, Signer};
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn secret(byte: &str) -> String {
        byte.repeat(64)
    }

    fn verifier(secrets: &[&str]) -> Verifier {
        let text: Vec<_> = secrets.iter().map(|byte| secret(byte)).collect();
        Verifier::new(Secrets::parse(&text.join("\n")).unwrap())
    }

    fn sign(by: &str, time: u64, body: &[u8]) -> String {
        let signer = Signer::new(Secret::new(&secret(by)).unwrap());
        signer.sign_at(time, "POST", "/v1/invoke", body).unwrap()
    }

    fn check(verifier: &Verifier, header: &str) -> Result<BodyCheck, Denied> {
        verifier.check_at(NOW, Some(header), "POST", "/v1/invoke")
    }

    #[test]
    fn a_signed_call_is_accepted_with_its_body_and_no_other() {
        let verifier = verifier(&["a"]);
        let mut body = check(&verifier, &sign("a", NOW, b"hello")).unwrap();
        body.update(b"hel");
        body.update(b"lo");
        assert!(body.is_right());
        for other in [&b"hellO"[..], b"hell", b"hello ", b""] {
            let mut body = check(&verifier, &sign("a", NOW, b"hello")).unwrap();
            body.update(other);
            assert!(!body.is_right());
        }
    }

    #[test]
    fn calls_without_the_secret_are_denied() {
        let verifier = verifier(&["a"]);
        let header = sign("a", NOW, b"x");
        let other = sign("b", NOW, b"x");
        assert_eq!(verifier.check_at(NOW, None, "POST", "/v1/invoke").unwrap_err(), Denied::Unsigned);
        assert_eq!(check(&verifier, "v1 nonsense").unwrap_err(), Denied::Unsigned);
        assert_eq!(check(&verifier, &other).unwrap_err(), Denied::Wrong);
        // With the right key id and the code of another secret.
        let (_, mac) = other.rsplit_once("mac=").unwrap();
        let (front, _) = header.rsplit_once("mac=").unwrap();
        assert_eq!(check(&verifier, &format!("{front}mac={mac}")).unwrap_err(), Denied::Wrong);
        for cut in 0..header.len() {
            assert_eq!(check(&verifier, &header[..cut]).unwrap_err(), Denied::Unsigned);
        }
    }

    #[test]
    fn nothing_of_a_call_can_be_changed() {
        let verifier = verifier(&["a"]);
        let header = sign("a", NOW, b"x");
        for (method, target) in [("GET", "/v1/invoke"), ("POST", "/v1/invoke?x"), ("POST", "/")] {
            let denied = verifier.check_at(NOW, Some(&header), method, target).unwrap_err();
            assert_eq!(denied, Denied::Wrong);
        }
        // Every digit of every field.
        for (at, digit) in header.char_indices().filter(|(_, c)| c.is_ascii_hexdigit()) {
            let other = if digit == '0' { '1' } else { '0' };
            let mut changed = header.clone();
            changed.replace_range(at..=at, &other.to_string());
            assert!(check(&verifier, &changed).is_err(), "{changed}");
        }
        assert!(check(&verifier, &header).is_ok());
    }

    #[test]
    fn old_and_early_calls_are_denied() {
        let verifier = verifier(&["a"]);
        for (time, expected) in
            [(NOW - 61, Some(61)), (NOW - 60, None), (NOW + 60, None), (NOW + 61, Some(-61))]
        {
            let denied = check(&verifier, &sign("a", time, b"")).err();
            assert_eq!(denied, expected.map(Denied::Time));
        }
        assert!(check(&verifier, &sign("a", u64::MAX, b"")).is_err());
    }

    #[test]
    fn a_call_is_accepted_once() {
        let verifier = verifier(&["a"]);
        let header = sign("a", NOW, b"x");
        assert!(check(&verifier, &header).is_ok());
        assert_eq!(check(&verifier, &header).unwrap_err(), Denied::Replayed);
        assert!(check(&verifier, &sign("a", NOW, b"x")).is_ok(), "signed anew it is another call");
    }

    #[test]
    fn secrets_can_be_replaced_while_calls_go_on() {
        let both = verifier(&["a", "b"]);
        assert!(check(&both, &sign("a", NOW, b"")).is_ok());
        assert!(check(&both, &sign("b", NOW, b"")).is_ok());
        assert!(check(&verifier(&["b"]), &sign("a", NOW, b"")).is_err());
    }
}

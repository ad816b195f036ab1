//! Shared secrets: where they come from, and what they are called.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ring::{digest, hmac};

use crate::config::Settings;
use crate::env;
use crate::error::{Error, ErrorKind, Result};

/// The shortest secret that is accepted, in bytes. `rustwren setup` makes 64 hexadecimal digits: 256 random bits.
pub const MIN_SECRET: usize = 32;

/// A secret, never shown. Cheap to clone.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    text: Box<str>,
    id: [u8; 8],
    key: hmac::Key,
}

impl Secret {
    /// A secret of printable characters without spaces.
    pub fn new(text: &str) -> Result<Self> {
        let fault = if text.len() < MIN_SECRET {
            "is shorter than 32 characters"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "has characters that are not printable ASCII"
        } else {
            let mut hash = digest::Context::new(&digest::SHA256);
            hash.update(b"rustwren key id\n");
            hash.update(text.as_bytes());
            let mut id = [0; 8];
            id.copy_from_slice(&hash.finish().as_ref()[..8]);
            let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
            return Ok(Self(Arc::new(Inner { text: text.into(), id, key })));
        };
        Err(Error::new(ErrorKind::Config, format!("a shared secret {fault}"))
            .with_hint("make one with `openssl rand -hex 32`"))
    }

    /// The name by which a call says which of several secrets it is signed with: a part of a hash of the secret. It
    /// tells nothing of a secret that is as random as it should be.
    pub(super) fn id(&self) -> [u8; 8] {
        self.0.id
    }

    /// The secret itself, for a process that is to have it as well.
    pub fn reveal(&self) -> &str {
        &self.0.text
    }

    pub(super) fn key(&self) -> &hmac::Key {
        &self.0.key
    }
}

/// The id alone.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:016x})", u64::from_be_bytes(self.0.id))
    }
}

/// The secrets in use: calls are signed with the first, and those signed with any of them are accepted. To replace a
/// secret, servers get the new one as a second, then clients sign with it, then the old one is removed.
#[derive(Debug, Clone)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Those in a text: one on each line or separated by commas. Empty lines, and lines that begin with `#`, count for
    /// nothing. There must be one at least.
    pub fn parse(text: &str) -> Result<Self> {
        let secrets: Vec<Secret> = Self::words(text).map(Secret::new).collect::<Result<_>>()?;
        if secrets.is_empty() {
            return Err(Error::new(ErrorKind::Config, "there is no shared secret in it")
                .with_hint("make one with `openssl rand -hex 32`"));
        }
        Ok(Self(secrets))
    }

    /// What [`parse`](Self::parse) takes for secrets, as they are written: for whoever keeps a file of them.
    pub fn words(text: &str) -> impl Iterator<Item = &str> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
    }

    /// Those in a file.
    pub fn read(path: &Path) -> Result<Self> {
        let named = |error: Error| error.context(&format!("the secrets in {}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| {
            named(Error::new(ErrorKind::Config, "the file cannot be read").with_source(error))
        })?;
        Self::parse(&text).map_err(named)
    }

    /// Those of a backend that declares the keys `secret` and `secret_file`: the one that is set, else those in the
    /// environment variable [`HTTP_SECRET`](env::HTTP_SECRET). There must be one.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        if let Some(text) = settings.get_str("secret")? {
            return Self::parse(text).map_err(|error| {
                let wrong = settings.error("secret", format_args!("is no good: {}", error.message()));
                wrong.with_hint(error.hint().unwrap_or_default())
            });
        }
        if let Some(file) = settings.get_path("secret_file")? {
            return Self::read(&file);
        }
        match env::HTTP_SECRET.get_str()? {
            Some(text) => Self::parse(&text).map_err(|error| error.context(env::HTTP_SECRET.name)),
            None => Err(settings.error("secret_file", "is not set, and calls must be signed").with_hint(
                format!("set it, or the environment variable {}, on both sides", env::HTTP_SECRET.name),
            )),
        }
    }

    /// The one to sign with. There is always one.
    pub fn first(&self) -> Option<&Secret> {
        self.0.first()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_file() {
        let (a, b, c) = ("a".repeat(32), "b".repeat(40), "c".repeat(64));
        let text = format!("# for the fleet\n{a}\n\n  {b} ,{c}\r\n#{a}\n");
        let secrets = Secrets::parse(&text).unwrap();
        let ids: Vec<_> = secrets.iter().map(Secret::id).collect();
        let expected: Vec<_> = [&a, &b, &c].map(|text| Secret::new(text).unwrap().id()).into();
        assert_eq!(ids, expected);
        assert_eq!(secrets.first().unwrap().id(), expected[0]);
    }

    #[test]
    fn bad_secrets_are_refused_without_being_shown() {
        for text in ["", "#only a comment", "hunter2", &format!("{}é", "x".repeat(40)), "a b"] {
            let error = Secrets::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.hint().is_some() && !format!("{error}").contains("hunter2"), "{error}");
        }
        let error = Secrets::read(Path::new("/nowhere/secret")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/secret"), "{error}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = "0123456789abcdef0123456789abcdef";
        let shown = format!("{:?}", Secrets::parse(text).unwrap());
        assert!(!shown.contains(text) && shown.contains("Secret("), "{shown}");
    }
}

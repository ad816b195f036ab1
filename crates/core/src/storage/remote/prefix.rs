//! Keys below a prefix of a bucket.

use crate::config::Settings;
use crate::error::Result;
use crate::storage::{Key, MAX_KEY_BYTES};

/// Keys have up to 900 bytes, and the services allow 1024.
const LONGEST: usize = 120;

/// What the names of all of a storage's objects begin with, before a `/`; nothing for a bucket's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(Option<Key>);

/// Reads and checks the setting `prefix`; errors name its place.
pub fn prefix_setting(settings: &Settings) -> Result<Option<Key>> {
    let prefix = settings.get_str("prefix")?.unwrap_or_default().trim_end_matches('/');
    if prefix.len() > LONGEST {
        return Err(settings.error("prefix", "must have at most 120 bytes"));
    }
    if prefix.is_empty() {
        return Ok(None);
    }
    let key = Key::new(prefix);
    key.map(Some).map_err(|error| settings.error("prefix", format!("is not usable: {error}")))
}

impl Prefix {
    /// The object's name in the bucket. `key` may be a part of one: a prefix to list, or a `*` for a policy.
    pub fn object(&self, key: &str) -> String {
        match &self.0 {
            Some(prefix) => format!("{prefix}/{key}"),
            None => key.to_owned(),
        }
    }

    /// The key of an object in the bucket; none where it lies elsewhere, or has a name that no key has.
    pub fn key(&self, object: &str) -> Option<Key> {
        let name = match &self.0 {
            Some(prefix) => object.strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            None => object,
        };
        Key::new(name).ok()
    }
}

impl From<Option<Key>> for Prefix {
    fn from(prefix: Option<Key>) -> Self {
        Self(prefix)
    }
}

/// Whether a service need be asked at all what begins so: they refuse prefixes that are too long, and some those with
/// characters of no key.
pub fn may_begin_a_key(prefix: &str) -> bool {
    prefix.len() <= MAX_KEY_BYTES && !prefix.contains(|c: char| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_the_prefix() {
        let below = Prefix::from(Key::new("p/q").ok());
        assert_eq!(below.object("a/b"), "p/q/a/b");
        assert_eq!(below.key("p/q/a/b"), Key::new("a/b").ok());
        for elsewhere in ["p/q", "p/q/", "p/qa", "a", "p/q//x"] {
            assert_eq!(below.key(elsewhere), None, "{elsewhere}");
        }
        let root = Prefix::default();
        assert_eq!((root.object("a"), root.key("a")), ("a".to_owned(), Key::new("a").ok()));
        assert_eq!(root.key("folder/"), None);
    }

    #[test]
    fn prefixes_that_begin_no_key() {
        for prefix in ["", "a", "a/", "\u{10ffff}"] {
            assert!(may_begin_a_key(prefix), "{prefix}");
        }
        for prefix in ["\0", "a\n", "a\\", &"x".repeat(901)] {
            assert!(!may_begin_a_key(prefix), "{prefix}");
        }
    }
}

//! Names of objects, checked so that no label or job id can leave its prefix.

use std::borrow::Borrow;
use std::fmt;

use crate::error::{BackendError, ErrorClass};

/// The longest key, in bytes: 1 024 is the limit of S3, GCS and Azure Blob alike, less room for a prefix.
pub const MAX_KEY_BYTES: usize = 900;

/// A validated object name: 1 to 900 bytes of UTF-8, parts separated by single `/`, no part empty, `.` or `..`,
/// no control characters and no backslash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, BackendError> {
        let name = name.into();
        let fault = if name.is_empty() {
            "is empty"
        } else if name.len() > MAX_KEY_BYTES {
            "is longer than 900 bytes"
        } else if name.chars().any(|c| c.is_control() || c == '\\') {
            "contains a control character or a backslash"
        } else if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            "has an empty, `.` or `..` part"
        } else {
            return Ok(Self(name));
        };
        let mut shown: String = name.chars().take(80).collect();
        if shown.len() < name.len() {
            shown.push('…');
        }
        Err(BackendError::new(ErrorClass::Invalid, format!("object key {shown:?} {fault}")))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keys compare, order and hash as their names do, so a map of keys can be searched by name.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names_are_kept() {
        let longest = "x".repeat(MAX_KEY_BYTES);
        for name in ["a", "a/b", ".hidden", "..a/b..", "a b", "%2e%2e/x", "ünï/ 中", &longest] {
            assert_eq!(Key::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn bad_names_are_refused_by_reason() {
        let too_long = "x".repeat(MAX_KEY_BYTES + 1);
        for (name, reason) in [
            ("", "is empty"),
            (too_long.as_str(), "longer than 900"),
            ("a\nb", "control character"),
            ("a\0", "control character"),
            ("a\\b", "backslash"),
            ("/a", "empty, `.`"),
            ("a/", "empty, `.`"),
            ("a//b", "empty, `.`"),
            ("../a", "empty, `.`"),
            ("a/./b", "empty, `.`"),
        ] {
            let error = Key::new(name).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Invalid);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn keys_order_as_their_names(a in "[a-c/.]{1,4}", b in "[a-c/.]{1,4}") {
            if let (Ok(ka), Ok(kb)) = (Key::new(&a), Key::new(&b)) {
                prop_assert_eq!(ka.cmp(&kb), a.cmp(&b));
            }
        }
    }
}

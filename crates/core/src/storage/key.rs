//! Names of objects, checked so that no label or job id can leave its prefix.

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
        } else if name
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
        {
            "has an empty, `.` or `..` part"
        } else {
            return Ok(Self(name));
        };
        let mut shown: String = name.chars().take(80).collect();
        if shown.len() < name.len() {
            shown.push('…');
        }
        Err(BackendError::new(
            ErrorClass::Invalid,
            format!("object key {shown:?} {fault}"),
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
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

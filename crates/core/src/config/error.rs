//! What is wrong with a configuration, and where.

use std::fmt::Write as _;

use super::Origin;
use crate::error::{Error, ErrorKind};

/// A wrong configuration. Becomes an [`Error`] of kind [`ErrorKind::Config`] when it leaves this module.
#[derive(Debug)]
pub(crate) struct ConfigError {
    origin: Option<Origin>,
    message: String,
    snippet: Option<String>,
    hint: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { origin: None, message: message.into(), snippet: None, hint: None }
    }

    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    pub(crate) fn with_snippet(mut self, snippet: Option<String>) -> Self {
        self.snippet = snippet;
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What `other` says, at this place.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.message = other.message;
        self.hint = other.hint;
        self
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let mut text = String::new();
        match &error.origin {
            // Writing to a string cannot fail.
            Some(Origin::Default) | None => text.push_str(&error.message),
            Some(origin) => {
                write!(text, "{origin}: {}", error.message).unwrap_or_default();
            }
        }
        if let Some(snippet) = &error.snippet {
            text.push('\n');
            text.push_str(snippet);
        }
        let out = Error::new(ErrorKind::Config, text);
        out.with_optional_hint(error.hint)
    }
}

/// The known name nearest to a mistyped one, if any is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long garbage is near to nothing, and comparing it would take long.
    if name.len() > 100 {
        return None;
    }
    let lower = name.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.pop() {
        None => "none".to_owned(),
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} and {last}", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name() {
        let known = ["workers", "memory_limit", "image"];
        assert_eq!(nearest("wokers", known), Some("workers"));
        assert_eq!(nearest("Memory-Limit", known), Some("memory_limit"));
        assert_eq!(nearest("imgae", known), Some("image"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }

    #[test]
    fn names_in_a_sentence() {
        assert_eq!(list_names([]), "none");
        assert_eq!(list_names(["a"]), "`a`");
        assert_eq!(list_names(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}

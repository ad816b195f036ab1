//! One layer of configuration as it was found: nothing is known yet of what keys mean.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::{Origin, RawValue};
use crate::env::{self, Environment};

/// A configuration file's text, kept for messages.
pub(crate) struct Source {
    path: Arc<Path>,
    text: String,
}

impl Source {
    /// Where byte `at` is.
    pub(crate) fn origin(&self, at: usize) -> Origin {
        let (line, start) = self.line_start(at);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        Origin::File { path: Arc::clone(&self.path), line, column }
    }

    fn line_start(&self, at: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        (line, start)
    }

    /// The line around `span` with the span underlined. What follows the span on its line is left out: it has
    /// not been looked at, and may be a secret. So is everything, where the part shown mentions one of `secrets`.
    pub(crate) fn snippet(&self, span: &Range<usize>, secrets: &[&str]) -> Option<String> {
        let (number, start) = self.line_start(span.start);
        let line = self.text.get(start..)?.lines().next().unwrap_or_default();
        let end = span.end.saturating_sub(start).min(line.len());
        let shown = line.get(..end)?;
        // Too long for a terminal, or control characters that would act on it.
        if shown.chars().count() > 200
            || shown.chars().any(|c| c.is_control() && c != '\t')
            || secrets.iter().any(|name| shown.contains(name))
        {
            return None;
        }
        let shown = shown.replace('\t', " ");
        let indent = self.text.get(start..span.start)?.chars().count();
        let carets = "^".repeat(shown.chars().count().saturating_sub(indent).max(1));
        let gutter = " ".repeat(number.to_string().len());
        Some(format!("{gutter} |\n{number} | {shown}\n{gutter} | {}{carets}", " ".repeat(indent)))
    }
}

/// A key that is set, and to what.
pub(crate) struct RawEntry {
    /// `["provider"]` or `["compute", "workers"]`.
    pub(crate) path: Vec<String>,
    pub(crate) value: RawValue,
    pub(crate) origin: Origin,
    /// Where key and value stand in the file.
    spans: Option<(Range<usize>, Range<usize>)>,
}

impl RawEntry {
    /// `compute.workers`.
    pub(crate) fn dotted(&self) -> String {
        self.path.join(".")
    }
}

/// One layer of configuration as it was found.
pub struct RawConfig {
    pub(crate) entries: Vec<RawEntry>,
    /// Sections that are there, empty ones too.
    pub(crate) sections: Vec<RawEntry>,
    source: Option<Source>,
}

impl RawConfig {
    /// Reads TOML. `path` is for messages; `secrets` are names of keys whose lines are never shown.
    pub(crate) fn parse(path: &Path, text: String, secrets: &[&str]) -> Result<Self, ConfigError> {
        // What editors on Windows put in front is no part of the text.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let source = Source { path: path.into(), text };
        let table = DeTable::parse(&source.text).map_err(|error| {
            let span = error.span().unwrap_or(source.text.len()..source.text.len());
            // A broken string can swallow lines: with secrets anywhere in the file, none of it is shown.
            let shown = !secrets.iter().any(|name| source.text.contains(name));
            ConfigError::new(format!("not valid TOML: {}", error.message()))
                .at(&source.origin(span.start))
                .with_snippet(if shown { source.snippet(&span, secrets) } else { None })
        })?;
        let (mut entries, mut sections) = (Vec::new(), Vec::new());
        let add =
            |into: &mut Vec<RawEntry>, path: Vec<String>, key: Range<usize>, value: Range<usize>, raw| {
                into.push(RawEntry {
                    path,
                    value: raw,
                    origin: source.origin(key.start),
                    spans: Some((key, value)),
                });
            };
        for (key, value) in table.get_ref() {
            let name = key.get_ref().to_string();
            if let DeValue::Table(section) = value.get_ref() {
                for (inner, value) in section {
                    let path = vec![name.clone(), inner.get_ref().to_string()];
                    add(&mut entries, path, inner.span(), value.span(), raw_value(value.get_ref()));
                }
                add(&mut sections, vec![name], key.span(), value.span(), RawValue::Other("a table"));
            } else {
                add(&mut entries, vec![name], key.span(), value.span(), raw_value(value.get_ref()));
            }
        }
        // Mistakes are reported in the order of the file.
        for list in [&mut entries, &mut sections] {
            list.sort_by_key(|entry| entry.spans.as_ref().map(|(key, _)| key.start));
        }
        Ok(Self { entries, sections, source: Some(source) })
    }

    /// The layer that environment variables make.
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let mut entries = Vec::new();
        let mut add = |name: &str, path: Vec<String>, value: &std::ffi::OsStr| {
            let origin = Origin::Variable(name.to_owned());
            let text = value.to_str().ok_or_else(|| ConfigError::new("not valid UTF-8").at(&origin))?;
            entries.push(RawEntry { path, value: text.into(), origin, spans: None });
            Ok::<_, ConfigError>(())
        };
        if let Some(value) = env::PROGRESS.get_in(environment) {
            add(env::PROGRESS.name, vec!["client".to_owned(), "progress".to_owned()], value)?;
        }
        for (name, value) in environment.iter() {
            // A name that is not UTF-8 is none of ours.
            let Some(name) = name.to_str() else { continue };
            let Some(key) = name.strip_prefix(env::OVERRIDE_PREFIX) else {
                continue;
            };
            let path: Vec<_> = key.split("__").map(str::to_ascii_lowercase).collect();
            add(name, path, value)?;
        }
        Ok(Self { entries, sections: Vec::new(), source: None })
    }

    /// The layer that the program makes: dotted key paths and values.
    pub(crate) fn from_program(overrides: &[(String, RawValue)]) -> Self {
        let entries = overrides
            .iter()
            .map(|(path, value)| RawEntry {
                path: path.split('.').map(str::to_owned).collect(),
                value: value.clone(),
                origin: Origin::Program,
                spans: None,
            })
            .collect();
        Self { entries, sections: Vec::new(), source: None }
    }

    /// An error about an entry's key.
    pub(crate) fn key_error(&self, entry: &RawEntry, message: String, secrets: &[&str]) -> ConfigError {
        let spans = entry.spans.as_ref().map(|(key, _)| key);
        let snippet =
            self.source.as_ref().zip(spans).and_then(|(source, span)| source.snippet(span, secrets));
        ConfigError::new(message).at(&entry.origin).with_snippet(snippet)
    }

    /// An error about an entry's value.
    pub(crate) fn value_error(&self, entry: &RawEntry, message: String, secrets: &[&str]) -> ConfigError {
        match (&self.source, &entry.spans) {
            (Some(source), Some((_, value))) => ConfigError::new(message)
                .at(&source.origin(value.start))
                .with_snippet(source.snippet(value, secrets)),
            _ => ConfigError::new(message).at(&entry.origin),
        }
    }
}

/// Keys and where they come from, not values: they may be secrets.
impl fmt::Debug for RawConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|entry| (entry.dotted(), &entry.origin))).finish()
    }
}

fn raw_value(value: &DeValue<'_>) -> RawValue {
    match value {
        DeValue::String(text) => RawValue::String(text.to_string()),
        DeValue::Integer(number) => {
            let limit = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
            RawValue::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(limit))
        }
        DeValue::Boolean(value) => RawValue::Bool(*value),
        DeValue::Array(items) => {
            RawValue::Array(items.iter().map(|item| raw_value(item.get_ref())).collect())
        }
        DeValue::Float(number) => RawValue::Float(number.as_str().to_owned()),
        DeValue::Datetime(_) => RawValue::Other("a date or time"),
        DeValue::Table(_) => RawValue::Other("a table"),
    }
}

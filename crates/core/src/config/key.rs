//! What keys there are, as data: one declaration gives checking, `rustwren config show` and the documentation.

use std::fmt;

use super::units::{DURATION_FORM, RANGE_FORM, SHARE_FORM, SIZE_FORM, USD_FORM};

/// What a key's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Any text.
    Text,
    /// A path. Relative ones count from the configuration file's folder, or from the working directory where
    /// the value does not come from a file; `~/` is the home directory.
    Path,
    /// `true` or `false`.
    Bool,
    /// A whole number within limits.
    Integer {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A number of bytes: `"512MB"`, `"1GiB"`.
    Size,
    /// A time span: `"90s"`, `"1m30s"`, `"250ms"`.
    Duration,
    /// Two time spans, the shorter first: `"60ms..300ms"`; one stands for both.
    DurationRange,
    /// A share of a whole: `"2%"`, `"0.5%"`.
    Share,
    /// An amount of US dollars: `2.5`.
    Usd,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts; separated by commas where it comes from an environment variable.
    List,
}

/// What is expected, as a noun phrase for messages and documentation.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a string"),
            Self::Path => f.write_str("a path (a string)"),
            Self::Bool => f.write_str("true or false"),
            Self::Integer { min, max: u64::MAX } => write!(f, "a whole number of at least {min}"),
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Size => f.write_str(SIZE_FORM),
            Self::Duration => f.write_str(DURATION_FORM),
            Self::DurationRange => f.write_str(RANGE_FORM),
            Self::Share => f.write_str(SHARE_FORM),
            Self::Usd => f.write_str(USD_FORM),
            Self::Choice(words) => match words.split_last() {
                None => f.write_str("nothing"),
                Some((last, [])) => write!(f, "\"{last}\""),
                Some((last, rest)) => {
                    let rest: Vec<_> = rest.iter().map(|word| format!("\"{word}\"")).collect();
                    write!(f, "{} or \"{last}\"", rest.join(", "))
                }
            },
            Self::List => f.write_str("a list of strings"),
        }
    }
}

/// What holds when nobody sets a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyDefault {
    /// The key must be set.
    Required,
    /// There is no value.
    Unset {
        /// What then happens, as a phrase: `no limit`.
        meaning: &'static str,
    },
    /// This value, as it would be written in an environment variable: `10s`, `4`, `a,b`.
    Value(&'static str),
}

/// One configuration key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDoc {
    /// Its name within its section: lower-case letters, digits and underscores.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds when nobody sets it.
    pub default: KeyDefault,
    /// A value for documentation and annotated configurations, written as in an environment variable. The
    /// default itself where there is one.
    pub example: &'static str,
    /// What it does: one or more sentences.
    pub doc: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Whether its value means something on this machine alone: a process elsewhere that is to work with the same is not
    /// told it.
    pub here: bool,
}

impl KeyDoc {
    /// A key with a default value, both written as in an environment variable.
    pub const fn with_default(
        name: &'static str,
        kind: Kind,
        value: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default: KeyDefault::Value(value),
            example: value,
            doc,
            secret: false,
            here: false,
        }
    }

    /// A key that may stay unset; `meaning` says what then happens.
    pub const fn optional(
        name: &'static str,
        kind: Kind,
        meaning: &'static str,
        example: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, kind, default: KeyDefault::Unset { meaning }, example, doc, secret: false, here: false }
    }

    /// A key that must be set.
    pub const fn required(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Self {
        Self { name, kind, default: KeyDefault::Required, example, doc, secret: false, here: false }
    }

    /// Marks the value as one that is never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Marks the value as one that means something on this machine alone: the path of a file that others have elsewhere.
    pub const fn of_this_machine(mut self) -> Self {
        self.here = true;
        self
    }
}

/// The two sections that a backend can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// `[storage]`
    Storage,
    /// `[compute]`
    Compute,
}

impl Section {
    /// The section's name in a file: `storage` or `compute`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Compute => "compute",
        }
    }
}

/// The key that says what a backend wraps, for backends that do nothing by themselves but stand around another.
///
/// A backend with this key takes, in the same section, the keys of the backend that it wraps. When the key is not set,
/// that is whatever the section had before this backend was chosen: so an environment variable that chooses a wrapper
/// wraps what the file chooses.
pub const WRAPS: KeyDoc = KeyDoc::optional(
    "wraps",
    Kind::Text,
    "the backend that is chosen below (in the file, say, when this one comes from a variable), else `local`",
    "local",
    "Name of the backend that this one wraps. Its keys stand beside the ones here.",
);

/// The keys of one section of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendKeys {
    /// The backend's name, as a configuration file chooses it: lower-case letters, digits and dashes.
    pub name: &'static str,
    /// Which section they stand in.
    pub section: Section,
    /// The keys, in the order in which documentation shows them.
    pub keys: &'static [KeyDoc],
}

impl BackendKeys {
    /// Whether it stands around another backend: it has [`WRAPS`] among its keys.
    pub fn wraps(&self) -> bool {
        self.keys.iter().any(|key| key.name == WRAPS.name)
    }
}

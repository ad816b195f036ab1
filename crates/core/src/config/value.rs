//! Values, and how text and TOML become values of the kind that a key asks for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Kind;
use super::units::{
    format_duration, format_range, format_share, format_size, format_usd, parse_duration, parse_range,
    parse_share, parse_size, parse_usd,
};
use crate::price::Usd;

/// A checked value of a key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Integer`].
    Integer(u64),
    /// Of [`Kind::Size`]: bytes.
    Size(u64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::DurationRange`]: the shortest and the longest.
    Range(Duration, Duration),
    /// Of [`Kind::Share`]: parts of a million.
    Share(u32),
    /// Of [`Kind::Usd`].
    Usd(Usd),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

/// As it is written in a TOML file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Path(path) => f.write_str(&quoted(&path.to_string_lossy())),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Size(bytes) => write!(f, "\"{}\"", format_size(*bytes)),
            Self::Duration(duration) => write!(f, "\"{}\"", format_duration(*duration)),
            Self::Range(least, most) => write!(f, "\"{}\"", format_range(*least, *most)),
            Self::Share(parts) => write!(f, "\"{}\"", format_share(*parts)),
            Self::Usd(amount) => f.write_str(&format_usd(*amount)),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// Only that there is a value: it may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(..)")
    }
}

/// The nearest JSON value; sizes, durations and shares as their text.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Path(path) => serializer.serialize_str(&path.to_string_lossy()),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(number) => serializer.serialize_u64(*number),
            Self::Size(bytes) => serializer.serialize_str(&format_size(*bytes)),
            Self::Duration(duration) => serializer.serialize_str(&format_duration(*duration)),
            Self::Range(least, most) => serializer.serialize_str(&format_range(*least, *most)),
            Self::Share(parts) => serializer.serialize_str(&format_share(*parts)),
            Self::Usd(amount) => serializer.serialize_f64(amount.dollars()),
            Self::List(items) => items.serialize(serializer),
        }
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A value as it was found, before anyone knows what its key asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum RawValue {
    /// Text that is read as the key's kind asks: from an environment variable, or from the program.
    Text(String),
    /// A TOML string.
    String(String),
    /// A TOML integer; those beyond an `i128` are held as its limits.
    Integer(i128),
    /// A TOML float, as it is written.
    Float(String),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array.
    Array(Vec<RawValue>),
    /// Anything else, by the name of its type. No key takes such a value.
    Other(&'static str),
}

/// Only the type: the value may be a secret.
impl fmt::Debug for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl RawValue {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "this text",
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Other(name) => name,
        }
    }

    /// What was found, for messages; only the type where the value is a secret or does not fit a line.
    pub(crate) fn describe(&self, secret: bool) -> String {
        match self {
            _ if secret => self.type_name().to_owned(),
            Self::Text(text) | Self::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
            Self::Integer(number) if *number != i128::MAX => number.to_string(),
            Self::Float(text) if text.len() <= 40 => text.clone(),
            Self::Bool(value) => value.to_string(),
            _ => self.type_name().to_owned(),
        }
    }

    /// The value of this kind, or what more there is to say than that it is not of this kind.
    pub(crate) fn resolve(&self, kind: Kind) -> Result<Value, Option<String>> {
        match (kind, self) {
            (Kind::Text, Self::Text(text) | Self::String(text)) => Ok(Value::Text(text.clone())),
            (Kind::Path, Self::Text(text) | Self::String(text)) => {
                if text.is_empty() || text.contains('\0') {
                    return Err(Some("a path is neither empty nor has NUL in it".to_owned()));
                }
                Ok(Value::Path(PathBuf::from(text)))
            }
            (Kind::Choice(words), Self::Text(text) | Self::String(text)) => {
                if words.contains(&text.as_str()) {
                    return Ok(Value::Text(text.clone()));
                }
                Err(super::error::nearest(text, words.iter().copied())
                    .map(|near| format!("did you mean \"{near}\"?")))
            }
            (Kind::Size, Self::Text(text) | Self::String(text)) => {
                parse_size(text).map(Value::Size).map_err(Some)
            }
            (Kind::Duration, Self::Text(text) | Self::String(text)) => {
                parse_duration(text).map(Value::Duration).map_err(Some)
            }
            (Kind::DurationRange, Self::Text(text) | Self::String(text)) => {
                parse_range(text).map(|(least, most)| Value::Range(least, most)).map_err(Some)
            }
            (Kind::Share, Self::Text(text) | Self::String(text)) => {
                parse_share(text).map(Value::Share).map_err(Some)
            }
            (Kind::Size | Kind::Duration | Kind::DurationRange | Kind::Share, Self::Integer(_)) => {
                Err(Some("write a string with a unit".to_owned()))
            }
            (Kind::Usd, Self::Text(text) | Self::Float(text)) => {
                parse_usd(text).map(Value::Usd).map_err(Some)
            }
            (Kind::Usd, Self::Integer(number)) => {
                parse_usd(&number.to_string()).map(Value::Usd).map_err(Some)
            }
            (Kind::Usd, Self::String(text)) if parse_usd(text).is_ok() => {
                Err(Some("write it without the quotes".to_owned()))
            }
            (Kind::Bool, Self::Bool(value)) => Ok(Value::Bool(*value)),
            (Kind::Bool, Self::Text(text)) => text.parse().map(Value::Bool).map_err(|_| None),
            (Kind::Integer { min, max }, Self::Integer(number)) => {
                let number = u64::try_from(*number).map_err(|_| None)?;
                if (min..=max).contains(&number) { Ok(Value::Integer(number)) } else { Err(None) }
            }
            (Kind::Integer { .. }, Self::Text(text)) => {
                let number: i128 = text.trim().parse().map_err(|_| None)?;
                Self::Integer(number).resolve(kind)
            }
            (Kind::Integer { .. }, Self::String(text)) if text.parse::<u64>().is_ok() => {
                Err(Some("write it without the quotes".to_owned()))
            }
            (Kind::List, Self::Text(text)) => Ok(Value::List(
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
            )),
            (Kind::List, Self::Array(items)) => items
                .iter()
                .map(|item| match item {
                    Self::String(text) | Self::Text(text) => Ok(text.clone()),
                    other => Err(Some(format!("it holds {}", other.type_name()))),
                })
                .collect::<Result<_, _>>()
                .map(Value::List),
            (Kind::List, Self::String(_)) => Err(Some("write it in square brackets".to_owned())),
            _ => Err(None),
        }
    }
}

impl From<&str> for RawValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for RawValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for RawValue {
    fn from(number: u64) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for RawValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Duration> for RawValue {
    fn from(duration: Duration) -> Self {
        Self::Text(format_duration(duration))
    }
}

impl From<Vec<String>> for RawValue {
    fn from(items: Vec<String>) -> Self {
        Self::Array(items.into_iter().map(Self::String).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_toml() {
        for (value, text) in [
            (Value::Text("a\"b\n".to_owned()), None),
            (Value::Path("/x y".into()), Some("\"/x y\"")),
            (Value::Size(512_000_000), Some("\"512MB\"")),
            (Value::Duration(Duration::from_secs(90)), Some("\"1m30s\"")),
            (Value::Range(Duration::ZERO, Duration::from_secs(90)), Some("\"0s..1m30s\"")),
            (Value::Share(2_500), Some("\"0.25%\"")),
            (Value::List(vec!["AWS_*".to_owned(), "B".to_owned()]), Some("[\"AWS_*\", \"B\"]")),
            (Value::Usd(Usd::from_nanos(2_500_000_016)), Some("2.500000016")),
            (Value::Usd(Usd::from_nanos(7_000_000_000)), Some("7.0")),
            (Value::Integer(3), Some("3")),
            (Value::Bool(true), Some("true")),
        ] {
            if let Some(text) = text {
                assert_eq!(value.to_string(), text);
            }
            let line = format!("key = {value}");
            assert!(line.parse::<toml::Table>().is_ok(), "{line}");
        }
    }

    #[test]
    fn text_is_read_by_kind() {
        let read = |kind, text: &str| RawValue::from(text).resolve(kind);
        let small = Kind::Integer { min: 1, max: 10 };
        assert_eq!(read(small, "4"), Ok(Value::Integer(4)));
        assert_eq!(read(small, "11"), Err(None));
        assert_eq!(read(small, "-1"), Err(None));
        assert_eq!(read(small, "x"), Err(None));
        assert_eq!(read(Kind::Bool, "true"), Ok(Value::Bool(true)));
        assert_eq!(read(Kind::Bool, "1"), Err(None));
        assert_eq!(read(Kind::Usd, "2.5"), Ok(Value::Usd(Usd::from_nanos(2_500_000_000))));
        assert_eq!(read(Kind::Usd, "1.6e-5"), Ok(Value::Usd(Usd::from_nanos(16_000))));
        assert_eq!(RawValue::Integer(3).resolve(Kind::Usd), Ok(Value::Usd(Usd::from_nanos(3_000_000_000))));
        for wrong in ["-1", "nan", "1e12", "five"] {
            assert!(read(Kind::Usd, wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(Kind::List, " a, b ,,"), Ok(Value::List(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(read(Kind::List, ""), Ok(Value::List(vec![])));
        assert_eq!(read(Kind::Choice(&["auto", "never"]), "never"), Ok(Value::Text("never".to_owned())));
        assert_eq!(
            read(Kind::Choice(&["auto", "never"]), "nevr"),
            Err(Some("did you mean \"never\"?".to_owned()))
        );
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Value::Text("hunter2".to_owned())), "Value(..)");
        assert_eq!(format!("{:?}", RawValue::String("hunter2".to_owned())), "a string");
    }
}

//! The values of one section, with typed access.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{BackendKeys, KeyDefault, KeyDoc, Kind, Origin, RawValue, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::price::Usd;

/// What all sections of one configuration share.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) cache_dir: Option<PathBuf>,
    /// See [`Settings::storage_variables`].
    pub(crate) storage: OnceLock<Vec<(String, String)>>,
}

impl Context {
    pub(crate) fn cache_dir(&self) -> Result<&Path> {
        self.cache_dir.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Config, "there is no home folder to keep a cache in")
                .with_hint(format!("set {} to a folder", crate::env::CACHE_DIR.name))
        })
    }
}

#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The keys that a section takes: of its backend and, where that wraps another, of the other.
#[derive(Clone, Copy, Default)]
pub(crate) struct Keys {
    pub(crate) own: &'static [KeyDoc],
    pub(crate) wrapped: &'static [KeyDoc],
}

impl Keys {
    pub(crate) fn of(own: &'static [KeyDoc]) -> Self {
        Self { own, wrapped: &[] }
    }

    /// Own ones first.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static KeyDoc> + Clone {
        self.own.iter().chain(self.wrapped)
    }

    pub(crate) fn find(self, name: &str) -> Option<&'static KeyDoc> {
        self.iter().find(|key| key.name == name)
    }
}

/// The values of one section, checked against its keys, with typed access for the backend that it configures.
///
/// A getter answers with the value, else with the key's default, else with none. Its error means that the code
/// asks for a key that it has not declared, or as another kind: a bug in the backend.
#[derive(Clone)]
pub struct Settings {
    pub(crate) section: &'static str,
    pub(crate) backend: Option<String>,
    /// The backend that the backend wraps, if it wraps one.
    pub(crate) wraps: Option<String>,
    pub(crate) keys: Keys,
    pub(crate) values: BTreeMap<&'static str, Setting>,
    pub(crate) context: Arc<Context>,
}

impl Settings {
    /// Settings made in a program and not from a configuration: pairs of a key and its value, written as in
    /// an environment variable. `cache_dir` stands for the user's cache folder.
    pub fn of_program<V: Into<RawValue>>(
        keys: &BackendKeys,
        cache_dir: impl Into<PathBuf>,
        pairs: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Result<Self> {
        let mut settings = Self {
            section: keys.section.name(),
            backend: Some(keys.name.to_owned()),
            wraps: None,
            keys: Keys::of(keys.keys),
            values: BTreeMap::new(),
            context: Arc::new(Context { cache_dir: Some(cache_dir.into()), ..Context::default() }),
        };
        for (name, raw) in pairs {
            let key = settings.key(name)?;
            let raw = raw.into();
            let value = raw.resolve(key.kind).map_err(|why| {
                let text = mismatch(&format!("{}.{name}", settings.section), key, &raw, why);
                Error::new(ErrorKind::Config, text)
            })?;
            settings.values.insert(key.name, Setting { value, origin: Origin::Program });
        }
        settings.check_required()?;
        Ok(settings)
    }

    /// The backend's name; none for sections that no backend serves.
    pub fn backend(&self) -> Option<&str> {
        self.backend.as_deref()
    }

    /// The name of the backend that the backend wraps; none where it does not wrap one.
    pub fn wraps(&self) -> Option<&str> {
        self.wraps.as_deref()
    }

    /// The settings of the wrapped backend by itself; none where nothing is wrapped.
    pub(crate) fn wrapped(&self) -> Option<Self> {
        let backend = self.wraps.clone()?;
        let keys = Keys::of(self.keys.wrapped);
        let values = self.values.iter().filter(|(name, _)| keys.find(name).is_some());
        Some(Self {
            section: self.section,
            backend: Some(backend),
            wraps: None,
            keys,
            values: values.map(|(name, setting)| (*name, setting.clone())).collect(),
            context: Arc::clone(&self.context),
        })
    }

    /// The settings of the backend that is wrapped, or these where nothing is.
    pub(crate) fn innermost(&self) -> Self {
        self.wrapped().unwrap_or_else(|| self.clone())
    }

    /// RustWren's cache folder. It need not exist yet.
    pub fn cache_dir(&self) -> Result<&Path> {
        self.context.cache_dir()
    }

    /// Environment variables by which another process finds the storage of this configuration, but for secrets. For
    /// function processes, whose tasks use it as well. None for settings made in a program.
    pub fn storage_variables(&self) -> &[(String, String)] {
        self.context.storage.get().map_or(&[], Vec::as_slice)
    }

    /// The value of a key of [`Kind::Text`] or [`Kind::Choice`].
    pub fn get_str(&self, key: &str) -> Result<Option<&str>> {
        let key = self.key(key)?;
        match (&key.kind, self.values.get(key.name), key.default) {
            (Kind::Text | Kind::Choice(_), Some(Setting { value: Value::Text(text), .. }), _) => {
                Ok(Some(text))
            }
            (Kind::Text | Kind::Choice(_), _, KeyDefault::Value(text)) => Ok(Some(text)),
            (Kind::Text | Kind::Choice(_), ..) => Ok(None),
            _ => Err(self.wrong_kind(key)),
        }
    }

    /// The value of a key of [`Kind::Path`], absolute.
    pub fn get_path(&self, key: &str) -> Result<Option<PathBuf>> {
        self.typed(key, |value| if let Value::Path(path) = value { Some(path) } else { None })
    }

    /// The value of a key of [`Kind::Bool`].
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, |value| if let Value::Bool(value) = value { Some(value) } else { None })
    }

    /// The value of a key of [`Kind::Integer`], within the limits that it declares.
    pub fn get_u64(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, |value| if let Value::Integer(number) = value { Some(number) } else { None })
    }

    /// The value of a key of [`Kind::Size`], in bytes.
    pub fn get_size(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, |value| if let Value::Size(bytes) = value { Some(bytes) } else { None })
    }

    /// The value of a key of [`Kind::Duration`].
    pub fn get_duration(&self, key: &str) -> Result<Option<Duration>> {
        self.typed(key, |value| if let Value::Duration(duration) = value { Some(duration) } else { None })
    }

    /// The value of a key of [`Kind::DurationRange`]: the shortest and the longest.
    pub fn get_range(&self, key: &str) -> Result<Option<(Duration, Duration)>> {
        self.typed(
            key,
            |value| if let Value::Range(least, most) = value { Some((least, most)) } else { None },
        )
    }

    /// The value of a key of [`Kind::Share`], from 0 to 1.
    pub fn get_share(&self, key: &str) -> Result<Option<f64>> {
        let parts =
            self.typed(key, |value| if let Value::Share(parts) = value { Some(parts) } else { None })?;
        Ok(parts.map(|parts| f64::from(parts) / 1_000_000.0))
    }

    /// The value of a key of [`Kind::Usd`].
    pub fn get_usd(&self, key: &str) -> Result<Option<Usd>> {
        self.typed(key, |value| if let Value::Usd(amount) = value { Some(amount) } else { None })
    }

    /// The value of a key of [`Kind::List`]; empty where it is not set.
    pub fn get_list(&self, key: &str) -> Result<Vec<String>> {
        let list =
            self.typed(key, |value| if let Value::List(items) = value { Some(items) } else { None })?;
        Ok(list.unwrap_or_default())
    }

    /// Where a key's value comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// An error of kind [`ErrorKind::Config`] about a key's value, which names the place where it was set:
    /// `rustwren.toml:3:1: compute.workers must be ...`.
    pub fn error(&self, key: &str, must: impl fmt::Display) -> Error {
        let place = match self.origin(key) {
            Origin::Default => String::new(),
            origin => format!("{origin}: "),
        };
        Error::new(ErrorKind::Config, format!("{place}`{}.{key}` {must}", self.section))
    }

    /// Every key of the section, in the order of its declaration, with secrets masked.
    pub(crate) fn show(&self) -> impl Iterator<Item = ShownValue> {
        self.keys.iter().map(|key| {
            let set = self.values.get(key.name);
            let (value, meaning) = match (set, key.default) {
                (Some(_), _) if key.secret => (Some(Value::Text("***".to_owned())), None),
                (Some(setting), _) => (Some(setting.value.clone()), None),
                (None, KeyDefault::Unset { meaning }) => (None, Some(meaning)),
                (None, KeyDefault::Value(text)) => (RawValue::from(text).resolve(key.kind).ok(), None),
                (None, KeyDefault::Required) => (None, Some("must be set")),
            };
            ShownValue {
                key: format!("{}.{}", self.section, key.name),
                value,
                meaning,
                origin: self.origin(key.name),
            }
        })
    }

    pub(crate) fn check_required(&self) -> Result<()> {
        let missing = self
            .keys
            .iter()
            .find(|key| key.default == KeyDefault::Required && !self.values.contains_key(key.name));
        let Some(key) = missing else { return Ok(()) };
        let wrapped = self.wraps.as_ref().filter(|_| Keys::of(self.keys.wrapped).find(key.name).is_some());
        let backend = wrapped.or(self.backend.as_ref()).map(String::as_str).unwrap_or_default();
        let variable = format!(
            "{}{}__{}",
            crate::env::OVERRIDE_PREFIX,
            self.section.to_uppercase(),
            key.name.to_uppercase()
        );
        Err(Error::new(
            ErrorKind::Config,
            format!("`{}.{}` is not set, and backend `{backend}` needs it", self.section, key.name),
        )
        .with_hint(format!(
            "set `{}` in [{}] of the configuration file, or {variable}",
            key.name, self.section
        )))
    }

    fn key(&self, name: &str) -> Result<&'static KeyDoc> {
        self.keys.find(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                format!("`{}.{name}` is not among the declared keys", self.section),
            )
        })
    }

    fn wrong_kind(&self, key: &KeyDoc) -> Error {
        let text = format!(
            "`{}.{}` is declared as {}, and was asked for as something else",
            self.section, key.name, key.kind
        );
        Error::new(ErrorKind::Internal, text)
    }

    fn typed<T>(&self, key: &str, cast: impl Fn(Value) -> Option<T>) -> Result<Option<T>> {
        let key = self.key(key)?;
        let value = match (self.values.get(key.name), key.default) {
            (Some(setting), _) => setting.value.clone(),
            (None, KeyDefault::Value(text)) => {
                RawValue::from(text).resolve(key.kind).map_err(|_| self.wrong_kind(key))?
            }
            (None, _) => return Ok(None),
        };
        cast(value).map(Some).ok_or_else(|| self.wrong_kind(key))
    }
}

/// Names and origins, not values: they may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("section", &self.section)
            .field("backend", &self.backend)
            .field(
                "set",
                &self.values.iter().map(|(key, setting)| (key, &setting.origin)).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// What is wrong with a value, as a sentence about its key.
pub(crate) fn mismatch(dotted: &str, key: &KeyDoc, raw: &RawValue, why: Option<String>) -> String {
    let found = raw.describe(key.secret);
    match why {
        // What the parser says may quote the value.
        Some(why) if !key.secret => format!("`{dotted}` must be {}, not {found}: {why}", key.kind),
        _ => format!("`{dotted}` must be {}, not {found}", key.kind),
    }
}

/// One line of `rustwren config show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShownValue {
    /// `compute.workers`.
    pub key: String,
    /// Its value; `***` for a secret; none where it is not set.
    pub value: Option<Value>,
    /// What it means that it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<&'static str>,
    /// Where the value comes from.
    #[serde(serialize_with = "as_text")]
    pub origin: Origin,
}

fn as_text<S: Serializer>(value: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

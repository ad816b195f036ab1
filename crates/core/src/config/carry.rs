//! A configuration on its way to another process, which is to use the same storage and the same workers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::units::{format_duration, format_range, format_share, format_size, format_usd};
use super::{Config, LoadOptions, Origin, Settings, Value};
use crate::env;

/// What was set of a configuration, whoever set it, but for secrets and what means something on this machine alone: whoever
/// is given this finds those in an environment of its own.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried(Vec<(String, Item)>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Item {
    Text(String),
    Integer(u64),
    Bool(bool),
    List(Vec<String>),
}

/// Names only.
impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Carried {
    /// Sets all of it on top of what `options` find.
    pub fn onto(self, options: LoadOptions) -> LoadOptions {
        self.0.into_iter().fold(options, |options, (key, item)| match item {
            Item::Text(text) => options.set(key, text),
            Item::Integer(number) => options.set(key, number),
            Item::Bool(value) => options.set(key, value),
            Item::List(items) => options.set(key, items),
        })
    }
}

impl From<&Value> for Item {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.clone()),
            // Paths that are not UTF-8 cannot be written in a configuration either.
            Value::Path(path) => Self::Text(path.to_string_lossy().into_owned()),
            Value::Bool(value) => Self::Bool(*value),
            Value::Integer(number) => Self::Integer(*number),
            Value::Size(bytes) => Self::Text(format_size(*bytes)),
            Value::Duration(duration) => Self::Text(format_duration(*duration)),
            Value::Range(least, most) => Self::Text(format_range(*least, *most)),
            Value::Share(parts) => Self::Text(format_share(*parts)),
            Value::Usd(amount) => Self::Text(format_usd(*amount)),
            Value::List(items) => Self::List(items.clone()),
        }
    }
}

impl Settings {
    /// What was set of it, as environment variables with their values, for a program elsewhere that is to work with the
    /// same; but for secrets, which it must be given in another way.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut items = Vec::new();
        carry_all(self, &mut items);
        let text = |item| match item {
            Item::Text(text) => text,
            Item::Integer(number) => number.to_string(),
            Item::Bool(value) => value.to_string(),
            Item::List(items) => items.join(","),
        };
        let name = |key: &str| format!("{}{}", env::OVERRIDE_PREFIX, key.to_uppercase().replace('.', "__"));
        items.into_iter().map(|(key, item)| (name(&key), text(item))).collect()
    }
}

impl Config {
    /// What was set of storage, compute and jobs, for a process that is to work with the same.
    pub fn carried(&self) -> Carried {
        let mut items = Vec::new();
        for settings in [self.storage(), self.compute()] {
            carry_all(settings, &mut items);
        }
        carry(&self.job_settings, &mut items);
        Carried(items)
    }
}

/// Which backend it is, and its settings.
fn carry_all(settings: &Settings, items: &mut Vec<(String, Item)>) {
    if let Some(backend) = settings.backend() {
        items.push((format!("{}.backend", settings.section), Item::Text(backend.to_owned())));
    }
    carry(settings, items);
}

fn carry(settings: &Settings, items: &mut Vec<(String, Item)>) {
    for (name, setting) in &settings.values {
        let stays = settings.keys.iter().any(|key| key.name == *name && (key.secret || key.here));
        if !stays && setting.origin != Origin::Default {
            items.push((format!("{}.{name}", settings.section), Item::from(&setting.value)));
        }
    }
}

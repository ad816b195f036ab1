//! Which backend serves a section, as the layers so far have it, and the values that it was given.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::settings::{Keys, Setting};
use super::{BackendKeys, KeyDoc, Origin, Section, Value, WRAPS};

/// A backend that was chosen.
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    /// None where the backend is not compiled in: its keys are unknown.
    pub(crate) keys: Option<BackendKeys>,
    /// Why it cannot be used, if a higher layer does not choose another.
    pub(crate) refusal: Option<ConfigError>,
}

impl Chosen {
    fn keys(&self) -> &'static [KeyDoc] {
        self.keys.map(|keys| keys.keys).unwrap_or_default()
    }
}

/// `[storage]` or `[compute]` as the layers so far have it.
pub(crate) struct Backed {
    pub(crate) section: Section,
    /// What does the work.
    base: Chosen,
    /// What stands around it.
    wrapper: Option<Chosen>,
    pub(crate) values: BTreeMap<&'static str, Setting>,
}

impl Backed {
    pub(crate) fn new(section: Section, base: Chosen) -> Self {
        Self { section, base, wrapper: None, values: BTreeMap::new() }
    }

    /// Takes what a layer chose with `backend` or `provider`. What lower layers set for a backend that is no longer
    /// there means nothing to the new one, and is dropped.
    pub(crate) fn choose(&mut self, chosen: Chosen) {
        let wraps = chosen.keys.is_some_and(|keys| keys.wraps());
        if let Some(old) = self.wrapper.take()
            && old.name != chosen.name
        {
            self.forget(old.keys());
        }
        if wraps {
            self.wrapper = Some(chosen);
        } else {
            self.choose_base(chosen);
        }
    }

    /// Takes what a layer chose with `wraps`, or with `backend` where nothing is wrapped.
    pub(crate) fn choose_base(&mut self, chosen: Chosen) {
        if self.base.name != chosen.name {
            let old = self.base.keys();
            self.forget(old);
        }
        self.base = chosen;
    }

    fn forget(&mut self, keys: &[KeyDoc]) {
        self.values.retain(|name, _| keys.iter().all(|key| key.name != *name));
    }

    /// The backend, for messages: a wrapper with what it wraps.
    pub(crate) fn described(&self) -> String {
        match &self.wrapper {
            Some(wrapper) => format!("`{}` around `{}`", wrapper.name, self.base.name),
            None => format!("`{}`", self.base.name),
        }
    }

    pub(crate) fn is_wrapped(&self) -> bool {
        self.wrapper.is_some()
    }

    fn outer(&self) -> &Chosen {
        self.wrapper.as_ref().unwrap_or(&self.base)
    }

    /// All keys that the section takes now.
    pub(crate) fn keys(&self) -> Keys {
        match &self.wrapper {
            Some(wrapper) => Keys { own: wrapper.keys(), wrapped: self.base.keys() },
            None => Keys { own: self.base.keys(), wrapped: &[] },
        }
    }

    /// Whether there may be keys of which nothing is known.
    pub(crate) fn has_unknown_keys(&self) -> bool {
        self.base.keys.is_none()
    }

    /// Ends the choosing: the section's name, what it wraps, its keys and values; or why it cannot be used.
    pub(crate) fn finish(mut self) -> Result<Finished, ConfigError> {
        let keys = self.keys();
        if let Some(refusal) = self.base.refusal.take() {
            return Err(refusal);
        }
        if let Some(both) = keys.own.iter().find(|own| keys.wrapped.iter().any(|key| key.name == own.name)) {
            let text = format!(
                "backend {} does not go: both have a key `{}` in [{}]",
                self.described(),
                both.name,
                self.section.name()
            );
            return Err(ConfigError::new(text).at(&self.outer().origin));
        }
        let as_setting = |chosen: Chosen| Setting { value: Value::Text(chosen.name), origin: chosen.origin };
        let Some(wrapper) = self.wrapper else {
            return Ok(Finished { backend: as_setting(self.base), wraps: None, keys, values: self.values });
        };
        let wraps = Some(self.base.name.clone());
        self.values.insert(WRAPS.name, as_setting(self.base));
        Ok(Finished { backend: as_setting(wrapper), wraps, keys, values: self.values })
    }
}

/// What became of a section that a backend serves.
pub(crate) struct Finished {
    pub(crate) backend: Setting,
    pub(crate) wraps: Option<String>,
    pub(crate) keys: Keys,
    pub(crate) values: BTreeMap<&'static str, Setting>,
}

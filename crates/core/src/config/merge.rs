//! Layers on top of each other: defaults, file, environment, program.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::{ConfigError, list_names, nearest};
use super::raw::RawEntry;
use super::registry::Lookup;
use super::sections::{BACKEND, CLIENT, JOB, PROVIDER};
use super::settings::{Context, Setting, mismatch};
use super::{KeyDoc, LoadOptions, Origin, RawConfig, Registry, Section, Settings, Value};

type Values = BTreeMap<&'static str, Setting>;

/// Sections in the order in which documentation shows them.
const SECTIONS: &[&str] = &["storage", "compute", "job", "client"];

/// `[storage]` or `[compute]` as the layers so far have it.
struct Backed {
    section: Section,
    backend: Setting,
    /// None where the backend is not compiled in: its keys are unknown.
    keys: Option<&'static [KeyDoc]>,
    /// Why the backend cannot be used, if a higher layer does not choose another.
    refusal: Option<ConfigError>,
    values: Values,
}

pub(crate) struct Merge<'a> {
    registry: &'a Registry,
    options: &'a LoadOptions,
    secrets: Vec<&'static str>,
    pub(crate) provider: Option<Setting>,
    storage: Backed,
    compute: Backed,
    job: Values,
    client: Values,
}

/// The sections, all layers merged.
pub(crate) struct Merged {
    pub(crate) provider: Option<Setting>,
    pub(crate) storage: (Setting, Settings),
    pub(crate) compute: (Setting, Settings),
    pub(crate) job: Settings,
    pub(crate) client: Settings,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(registry: &'a Registry, options: &'a LoadOptions) -> Self {
        let backed = |section| {
            let name = "local";
            let (keys, refusal) = match registry.lookup(section, name) {
                Lookup::Known(keys) => (Some(keys.keys), None),
                _ => (None, Some(unknown_backend(registry, Some(section), name))),
            };
            let backend = Setting { value: Value::Text(name.to_owned()), origin: Origin::Default };
            Backed { section, backend, keys, refusal, values: Values::new() }
        };
        Self {
            registry,
            options,
            secrets: registry.secrets(),
            provider: None,
            storage: backed(Section::Storage),
            compute: backed(Section::Compute),
            job: Values::new(),
            client: Values::new(),
        }
    }

    /// Names of keys whose values must not be shown.
    pub(crate) fn secrets(&self) -> &[&'static str] {
        &self.secrets
    }

    /// Puts a layer on top.
    pub(crate) fn apply(&mut self, layer: &RawConfig) -> Result<(), ConfigError> {
        self.check_places(layer)?;
        self.choose_backends(layer)?;
        for entry in &layer.entries {
            let [section, key] = entry.path.as_slice() else {
                continue;
            };
            let (keys, values) = match section.as_str() {
                "storage" | "compute" if key == BACKEND.name => continue,
                "storage" => (self.storage.keys, &mut self.storage.values),
                "compute" => (self.compute.keys, &mut self.compute.values),
                "job" => (Some(JOB), &mut self.job),
                _ => (Some(CLIENT), &mut self.client),
            };
            // Of a backend that is not compiled in nothing is known; if it stays chosen, that is the error.
            let Some(keys) = keys else { continue };
            let Some(doc) = keys.iter().find(|doc| doc.name == key) else {
                return Err(self.unknown_key(layer, entry, section, key, keys));
            };
            let value = resolve(self.options, &self.secrets, layer, entry, doc)?;
            values.insert(doc.name, Setting { value, origin: entry.origin.clone() });
        }
        Ok(())
    }

    /// The outcome.
    pub(crate) fn finish(self, context: &Arc<Context>) -> crate::error::Result<Merged> {
        let backed = |backed: Backed| {
            if let Some(refusal) = backed.refusal {
                return Err(refusal.into());
            }
            let name = if let Value::Text(name) = &backed.backend.value { Some(name.clone()) } else { None };
            let settings = Settings {
                section: backed.section.name(),
                backend: name,
                keys: backed.keys.unwrap_or_default(),
                values: backed.values,
                context: Arc::clone(context),
            };
            settings.check_required()?;
            Ok::<_, crate::error::Error>((backed.backend, settings))
        };
        let plain = |section, keys, values| Settings {
            section,
            backend: None,
            keys,
            values,
            context: Arc::clone(context),
        };
        Ok(Merged {
            provider: self.provider,
            storage: backed(self.storage)?,
            compute: backed(self.compute)?,
            job: plain("job", JOB, self.job),
            client: plain("client", CLIENT, self.client),
        })
    }

    /// Refuses sections that do not exist, and keys where none can be.
    fn check_places(&self, layer: &RawConfig) -> Result<(), ConfigError> {
        for found in &layer.sections {
            let name = found.dotted();
            if name == PROVIDER.name {
                let text = mismatch(&name, &PROVIDER, &found.value, None);
                return Err(layer.key_error(found, text, &self.secrets));
            }
            if !SECTIONS.contains(&name.as_str()) {
                return Err(self.unknown_section(layer, found, &name));
            }
        }
        for entry in &layer.entries {
            match entry.path.as_slice() {
                [name] if name == PROVIDER.name => {}
                [name] if SECTIONS.contains(&name.as_str()) => {
                    let text = format!("`{name}` is a section: its keys are `{name}.…`");
                    return Err(layer.key_error(entry, text, &self.secrets));
                }
                [name] => {
                    let owner = self.sections_with(name);
                    let hint = match owner.first() {
                        Some(section) => format!("`{name}` belongs in [{section}]"),
                        None => suggestion(name, SECTIONS.iter().copied().chain([PROVIDER.name]), "known"),
                    };
                    let text = format!("unknown key `{name}`");
                    return Err(layer.key_error(entry, text, &self.secrets).with_hint(hint));
                }
                [section, _] if SECTIONS.contains(&section.as_str()) => {}
                [section, _] => return Err(self.unknown_section(layer, entry, section)),
                _ => {
                    let text = format!("unknown key `{}`", entry.dotted());
                    let hint = format!(
                        "a key is `section.key`; as an environment variable: {}SECTION__KEY",
                        crate::env::OVERRIDE_PREFIX
                    );
                    return Err(layer.key_error(entry, text, &self.secrets).with_hint(hint));
                }
            }
        }
        Ok(())
    }

    /// `provider` and `backend`. A layer that changes a section's backend drops what lower layers said about the
    /// old one: those keys mean nothing to the new.
    fn choose_backends(&mut self, layer: &RawConfig) -> Result<(), ConfigError> {
        // The last entry counts: the environment layer can hold two for one key.
        let find = |path: &[&str]| layer.entries.iter().rev().find(|entry| entry.path == path);
        let provider = find(&[PROVIDER.name]);
        if let Some(entry) = provider {
            let value = resolve(self.options, &self.secrets, layer, entry, &PROVIDER)?;
            let Value::Text(name) = &value else { return Ok(()) };
            let unknown = |section| matches!(self.registry.lookup(section, name), Lookup::Unknown);
            if unknown(Section::Storage) && unknown(Section::Compute) {
                let error = unknown_backend(self.registry, None, name);
                return Err(layer.value_error(entry, String::new(), &self.secrets).merge(error));
            }
            self.provider = Some(Setting { value, origin: entry.origin.clone() });
        }
        for backed in [&mut self.storage, &mut self.compute] {
            let own = find(&[backed.section.name(), BACKEND.name]);
            let Some(entry) = own.or(provider) else { continue };
            let value = resolve(self.options, &self.secrets, layer, entry, &BACKEND)?;
            let Value::Text(name) = &value else { continue };
            let (keys, refusal) = match self.registry.lookup(backed.section, name) {
                Lookup::Known(keys) => (Some(keys.keys), None),
                Lookup::NotCompiled(feature) => {
                    let text = format!("backend `{name}` is not compiled into this program");
                    let error = layer.value_error(entry, text, &self.secrets).with_hint(format!(
                        "enable it in Cargo.toml: `rustwren = {{ version = \"…\", features = [\"{feature}\"] }}`"
                    ));
                    (None, Some(error))
                }
                // A provider that has only the other half leaves this section alone.
                Lookup::Unknown if own.is_none() => continue,
                Lookup::Unknown => {
                    let error = unknown_backend(self.registry, Some(backed.section), name);
                    return Err(layer.value_error(entry, String::new(), &self.secrets).merge(error));
                }
            };
            if backed.backend.value != value {
                backed.values.clear();
            }
            backed.keys = keys;
            backed.refusal = refusal;
            backed.backend = Setting { value, origin: entry.origin.clone() };
        }
        Ok(())
    }

    fn unknown_key(
        &self,
        layer: &RawConfig,
        entry: &RawEntry,
        section: &str,
        key: &str,
        keys: &[KeyDoc],
    ) -> ConfigError {
        let backed =
            [&self.storage, &self.compute].into_iter().find(|backed| backed.section.name() == section);
        let known = keys.iter().map(|doc| doc.name).chain(backed.map(|_| BACKEND.name));
        let others = backed.map(|backed| self.registry.with_key(backed.section, key)).unwrap_or_default();
        let elsewhere = self.sections_with(key);
        let hint = match (nearest(key, known.clone()), others.as_slice(), elsewhere.first()) {
            (Some(near), ..) => format!("did you mean `{near}`?"),
            (None, [_, ..], _) => format!("`{key}` is a key of backend {}", list_names(others)),
            (None, [], Some(other)) => format!("`{key}` belongs in [{other}]"),
            (None, [], None) => format!("[{section}] takes {}", list_names(known)),
        };
        let of = match backed.map(|backed| &backed.backend.value) {
            Some(Value::Text(name)) => format!(" of backend `{name}`"),
            _ => String::new(),
        };
        let text = format!("unknown key `{key}` in [{section}]{of}");
        layer.key_error(entry, text, &self.secrets).with_hint(hint)
    }

    fn unknown_section(&self, layer: &RawConfig, entry: &RawEntry, name: &str) -> ConfigError {
        let hint = suggestion(name, SECTIONS.iter().copied(), "sections are");
        layer.key_error(entry, format!("unknown section [{name}]"), &self.secrets).with_hint(hint)
    }

    /// Sections that have a key of this name.
    fn sections_with(&self, key: &str) -> Vec<&'static str> {
        let has = |keys: &[KeyDoc]| keys.iter().any(|doc| doc.name == key);
        let backed = [&self.storage, &self.compute]
            .into_iter()
            .filter(|backed| backed.keys.is_some_and(has) || key == BACKEND.name)
            .map(|backed| backed.section.name());
        let plain = [("job", JOB), ("client", CLIENT)].into_iter().filter(|(_, keys)| has(keys));
        backed.chain(plain.map(|(section, _)| section)).collect()
    }
}

fn resolve(
    options: &LoadOptions,
    secrets: &[&str],
    layer: &RawConfig,
    entry: &RawEntry,
    doc: &KeyDoc,
) -> Result<Value, ConfigError> {
    let value = entry.value.resolve(doc.kind).map_err(|why| {
        layer.value_error(entry, mismatch(&entry.dotted(), doc, &entry.value, why), secrets)
    })?;
    let Value::Path(path) = value else {
        return Ok(value);
    };
    // A path in a file counts from the file, so that it means the same wherever the program is started.
    Ok(Value::Path(match (&entry.origin, path.strip_prefix("~"), &options.home_dir) {
        (_, Ok(rest), Some(home)) => home.join(rest),
        (Origin::File { path: file, .. }, ..) => file.parent().unwrap_or(Path::new("")).join(path),
        _ => options.absolute(&path),
    }))
}

/// `section`: none for `provider`.
fn unknown_backend(registry: &Registry, section: Option<Section>, name: &str) -> ConfigError {
    let (known, missing) = registry.names(section);
    let what = match section {
        None => "provider",
        Some(Section::Storage) => "storage backend",
        Some(Section::Compute) => "compute backend",
    };
    let near = nearest(name, known.iter().chain(&missing).copied());
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let optional = match missing.as_slice() {
        [] => String::new(),
        names => format!("; with a cargo feature of `rustwren`: {}", list_names(names.iter().copied())),
    };
    let hint = format!("{near}Known: {}{optional}", list_names(known));
    ConfigError::new(format!("there is no {what} {name:?}")).with_hint(hint)
}

fn suggestion<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone, label: &str) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{label} {}", list_names(known)),
    }
}

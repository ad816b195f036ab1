//! Layers on top of each other: defaults, file, environment, program.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::chosen::{Backed, Chosen, Finished};
use super::error::{ConfigError, list_names, nearest};
use super::raw::RawEntry;
use super::registry::Lookup;
use super::sections::{BACKEND, CLIENT, IMAGE, JOB, PLAIN, PROVIDER};
use super::settings::{Context, Keys, Setting, mismatch};
use super::{KeyDoc, LoadOptions, Origin, RawConfig, Registry, Section, Settings, Value, WRAPS};

type Values = BTreeMap<&'static str, Setting>;

/// Names of all sections, in the order in which documentation shows them.
fn sections() -> impl Iterator<Item = &'static str> + Clone {
    ["storage", "compute"].into_iter().chain(PLAIN.iter().map(|(section, _)| *section))
}

pub(crate) struct Merge<'a> {
    registry: &'a Registry,
    options: &'a LoadOptions,
    secrets: Vec<&'static str>,
    pub(crate) provider: Option<Setting>,
    storage: Backed,
    compute: Backed,
    /// Of the sections that do not depend on a backend.
    plain: BTreeMap<&'static str, Values>,
}

/// The sections, all layers merged.
pub(crate) struct Merged {
    pub(crate) provider: Option<Setting>,
    pub(crate) storage: (Setting, Settings),
    pub(crate) compute: (Setting, Settings),
    pub(crate) image: Settings,
    pub(crate) job: Settings,
    pub(crate) client: Settings,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(registry: &'a Registry, options: &'a LoadOptions) -> Self {
        let backed = |section| {
            let name = match section {
                Section::Compute => options.compute.unwrap_or("local"),
                Section::Storage => "local",
            };
            let (keys, refusal) = match registry.lookup(section, name) {
                Lookup::Known(keys) => (Some(keys), None),
                _ => (None, Some(unknown_backend(registry, Some(section), name))),
            };
            Backed::new(section, Chosen { name: name.to_owned(), origin: Origin::Default, keys, refusal })
        };
        Self {
            registry,
            options,
            secrets: registry.secrets(),
            provider: None,
            storage: backed(Section::Storage),
            compute: backed(Section::Compute),
            plain: PLAIN.iter().map(|(section, _)| (*section, Values::new())).collect(),
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
            let keys = match section.as_str() {
                "storage" | "compute" if key == BACKEND.name => continue,
                "storage" => self.storage.keys(),
                "compute" => self.compute.keys(),
                name => match PLAIN.iter().find(|(section, _)| *section == name) {
                    Some((_, keys)) => Keys::of(keys),
                    None => continue,
                },
            };
            let Some(doc) = keys.find(key) else {
                // Of a backend that is not compiled in nothing is known; if it stays chosen, that is the error.
                if self.backed(section).is_some_and(Backed::has_unknown_keys) {
                    continue;
                }
                return Err(self.unknown_key(layer, entry, section, key, keys));
            };
            let value = resolve(self.options, &self.secrets, layer, entry, doc)?;
            let values = match section.as_str() {
                "storage" => Some(&mut self.storage.values),
                "compute" => Some(&mut self.compute.values),
                name => self.plain.get_mut(name),
            };
            let Some(values) = values else { continue };
            values.insert(doc.name, Setting { value, origin: entry.origin.clone() });
        }
        Ok(())
    }

    fn backed(&self, section: &str) -> Option<&Backed> {
        [&self.storage, &self.compute].into_iter().find(|backed| backed.section.name() == section)
    }

    /// The outcome.
    pub(crate) fn finish(mut self, context: &Arc<Context>) -> crate::error::Result<Merged> {
        let backed = |backed: Backed| {
            let section = backed.section.name();
            let Finished { backend, wraps, keys, values } = backed.finish()?;
            let name = if let Value::Text(name) = &backend.value { Some(name.clone()) } else { None };
            let settings =
                Settings { section, backend: name, wraps, keys, values, context: Arc::clone(context) };
            settings.check_required()?;
            Ok::<_, crate::error::Error>((backend, settings))
        };
        let mut plain = |section, keys| Settings {
            section,
            backend: None,
            wraps: None,
            keys: Keys::of(keys),
            values: self.plain.remove(section).unwrap_or_default(),
            context: Arc::clone(context),
        };
        Ok(Merged {
            provider: self.provider,
            storage: backed(self.storage)?,
            compute: backed(self.compute)?,
            image: plain("image", IMAGE),
            job: plain("job", JOB),
            client: plain("client", CLIENT),
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
            if sections().all(|known| known != name) {
                return Err(self.unknown_section(layer, found, &name));
            }
        }
        for entry in &layer.entries {
            match entry.path.as_slice() {
                [name] if name == PROVIDER.name => {}
                [name] if sections().any(|known| known == name) => {
                    let text = format!("`{name}` is a section: its keys are `{name}.…`");
                    return Err(layer.key_error(entry, text, &self.secrets));
                }
                [name] => {
                    let owner = self.sections_with(name);
                    let hint = match owner.first() {
                        Some(section) => format!("`{name}` belongs in [{section}]"),
                        None => suggestion(name, sections().chain([PROVIDER.name]), "known"),
                    };
                    let text = format!("unknown key `{name}`");
                    return Err(layer.key_error(entry, text, &self.secrets).with_hint(hint));
                }
                [section, _] if sections().any(|known| known == section) => {}
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

    /// `provider`, `backend` and `wraps`.
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
        for section in [Section::Storage, Section::Compute] {
            let own = find(&[section.name(), BACKEND.name]);
            let chosen = match own.or(provider) {
                // A provider that has only the other half leaves this section alone.
                Some(entry) => self.look_up(layer, entry, section, &BACKEND, own.is_some())?,
                None => None,
            };
            if let Some(chosen) = chosen {
                self.backed_mut(section).choose(chosen);
            }
            let wraps = find(&[section.name(), WRAPS.name]);
            let Some(entry) = wraps.filter(|_| self.backed_mut(section).is_wrapped()) else { continue };
            let Some(base) = self.look_up(layer, entry, section, &WRAPS, true)? else { continue };
            if base.keys.is_some_and(|keys| keys.wraps()) {
                let text =
                    format!("`{}` stands around another backend and cannot be wrapped itself", base.name);
                let hint = format!(
                    "name the backend that is to do the work: {}",
                    list_names(self.registry.bases(section))
                );
                return Err(layer.value_error(entry, text, &self.secrets).with_hint(hint));
            }
            self.backed_mut(section).choose_base(base);
        }
        Ok(())
    }

    fn backed_mut(&mut self, section: Section) -> &mut Backed {
        match section {
            Section::Storage => &mut self.storage,
            Section::Compute => &mut self.compute,
        }
    }

    /// The backend that an entry names; none if there is none of that name, and it need not be there.
    fn look_up(
        &self,
        layer: &RawConfig,
        entry: &RawEntry,
        section: Section,
        doc: &KeyDoc,
        must: bool,
    ) -> Result<Option<Chosen>, ConfigError> {
        let Value::Text(name) = resolve(self.options, &self.secrets, layer, entry, doc)? else {
            return Ok(None);
        };
        let (keys, refusal) = match self.registry.lookup(section, &name) {
            Lookup::Known(keys) => (Some(keys), None),
            Lookup::NotCompiled(feature) => {
                let text = format!("backend `{name}` is not compiled into this program");
                let error = layer.value_error(entry, text, &self.secrets).with_hint(format!(
                    "enable it in Cargo.toml: `rustwren = {{ version = \"…\", features = [\"{feature}\"] }}`"
                ));
                (None, Some(error))
            }
            Lookup::Unknown if !must => return Ok(None),
            Lookup::Unknown => {
                let error = unknown_backend(self.registry, Some(section), &name);
                return Err(layer.value_error(entry, String::new(), &self.secrets).merge(error));
            }
        };
        Ok(Some(Chosen { name, origin: entry.origin.clone(), keys, refusal }))
    }

    fn unknown_key(
        &self,
        layer: &RawConfig,
        entry: &RawEntry,
        section: &str,
        key: &str,
        keys: Keys,
    ) -> ConfigError {
        let backed = self.backed(section);
        let known = keys.iter().map(|doc| doc.name).chain(backed.map(|_| BACKEND.name));
        let others = backed.map(|backed| self.registry.with_key(backed.section, key)).unwrap_or_default();
        let elsewhere = self.sections_with(key);
        let hint = match (nearest(key, known.clone()), others.as_slice(), elsewhere.first()) {
            (Some(near), ..) => format!("did you mean `{near}`?"),
            (None, [_, ..], _) => format!("`{key}` is a key of backend {}", list_names(others)),
            (None, [], Some(other)) => format!("`{key}` belongs in [{other}]"),
            (None, [], None) => format!("[{section}] takes {}", list_names(known)),
        };
        let of = backed.map(|backed| format!(" of backend {}", backed.described())).unwrap_or_default();
        let text = format!("unknown key `{key}` in [{section}]{of}");
        layer.key_error(entry, text, &self.secrets).with_hint(hint)
    }

    fn unknown_section(&self, layer: &RawConfig, entry: &RawEntry, name: &str) -> ConfigError {
        let hint = suggestion(name, sections(), "sections are");
        layer.key_error(entry, format!("unknown section [{name}]"), &self.secrets).with_hint(hint)
    }

    /// Sections that have a key of this name.
    fn sections_with(&self, key: &str) -> Vec<&'static str> {
        let backed = [&self.storage, &self.compute]
            .into_iter()
            .filter(|backed| backed.keys().find(key).is_some() || key == BACKEND.name)
            .map(|backed| backed.section.name());
        let plain = PLAIN.iter().filter(|(_, keys)| Keys::of(keys).find(key).is_some());
        backed.chain(plain.map(|(section, _)| *section)).collect()
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

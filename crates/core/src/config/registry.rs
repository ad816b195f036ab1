//! The backends that a configuration can choose, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{BackendKeys, InvokerWrapper, KeyDoc, ProvisionerFactory, Section, Settings, StorageWrapper};
use crate::error::{Error, ErrorKind, Result};
use crate::invoker::Invoker;
use crate::storage::Storage;

/// Makes the storage of one backend from its settings.
#[async_trait]
pub trait StorageFactory: Send + Sync + 'static {
    /// The backend's name and the keys that it takes in `[storage]`.
    fn keys(&self) -> BackendKeys;

    /// Makes the storage. Settings that cannot work are refused here, with [`Settings::error`]; whether the
    /// provider can be reached shows on first use.
    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>>;
}

/// Makes the invoker of one backend from its settings.
#[async_trait]
pub trait InvokerFactory: Send + Sync + 'static {
    /// The backend's name and the keys that it takes in `[compute]`.
    fn keys(&self) -> BackendKeys;

    /// Makes the invoker. `storage` is what `[storage]` chose: the invoker's workers read images and large
    /// inputs there.
    async fn build(&self, settings: &Settings, storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>>;
}

/// Backends of ours, each with the cargo feature that compiles it in.
const OPTIONAL: &[(&str, &str)] = &[("aws", "aws"), ("azure", "azure"), ("gcp", "gcp"), ("http", "http")];

/// How a backend is made.
#[derive(Clone)]
enum Maker<F, W> {
    Factory(F),
    /// Around what another makes.
    Wrapper(W),
    /// Only its keys are known.
    Declared,
}

#[derive(Clone)]
struct Entry<F, W> {
    keys: BackendKeys,
    maker: Maker<F, W>,
}

type StorageEntry = Entry<Arc<dyn StorageFactory>, Arc<dyn StorageWrapper>>;
type InvokerEntry = Entry<Arc<dyn InvokerFactory>, Arc<dyn InvokerWrapper>>;

/// The backends that a configuration can choose, by name.
///
/// A backend in a crate of its own is registered the same way as RustWren's, and gets the same checking, the
/// same `rustwren config show` and the same documentation. A later registration under a name replaces an earlier.
#[derive(Clone, Default)]
pub struct Registry {
    storage: BTreeMap<&'static str, StorageEntry>,
    compute: BTreeMap<&'static str, InvokerEntry>,
    pub(crate) provisioners: BTreeMap<&'static str, Arc<dyn ProvisionerFactory>>,
}

/// What a backend's name stands for in one section.
pub(crate) enum Lookup {
    Known(BackendKeys),
    /// One of ours, which needs this cargo feature.
    NotCompiled(&'static str),
    Unknown,
}

impl Registry {
    /// A registry with no backend.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a storage backend.
    pub fn storage(mut self, factory: impl StorageFactory) -> Self {
        let keys = factory.keys();
        self.storage.insert(keys.name, Entry { keys, maker: Maker::Factory(Arc::new(factory)) });
        self
    }

    /// Adds a compute backend.
    pub fn invoker(mut self, factory: impl InvokerFactory) -> Self {
        let keys = factory.keys();
        self.compute.insert(keys.name, Entry { keys, maker: Maker::Factory(Arc::new(factory)) });
        self
    }

    /// Adds the setup side of a backend.
    pub fn provisioner(mut self, factory: impl ProvisionerFactory) -> Self {
        self.provisioners.insert(factory.backend(), Arc::new(factory));
        self
    }

    /// Adds a backend that stands around another storage.
    pub fn storage_wrapper(mut self, wrapper: impl StorageWrapper) -> Self {
        let keys = wrapper.keys();
        self.storage.insert(keys.name, Entry { keys, maker: Maker::Wrapper(Arc::new(wrapper)) });
        self
    }

    /// Adds a backend that stands around another invoker.
    pub fn invoker_wrapper(mut self, wrapper: impl InvokerWrapper) -> Self {
        let keys = wrapper.keys();
        self.compute.insert(keys.name, Entry { keys, maker: Maker::Wrapper(Arc::new(wrapper)) });
        self
    }

    /// Adds the keys of a backend without the means to make it: enough to read and check configurations for it.
    pub fn declare(mut self, keys: BackendKeys) -> Self {
        match keys.section {
            Section::Storage => {
                self.storage.insert(keys.name, Entry { keys, maker: Maker::Declared });
            }
            Section::Compute => {
                self.compute.insert(keys.name, Entry { keys, maker: Maker::Declared });
            }
        }
        self
    }

    /// Makes the storage that `[storage]` chose; [`Config::storage`](super::Config::storage) has its settings.
    pub async fn build_storage(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        if let (Some(Maker::Wrapper(wrapper)), Some(wrapped)) =
            (maker(&self.storage, settings), settings.wrapped())
        {
            let inner = self.make_storage(&wrapped).await?;
            return wrapper.wrap(settings, inner).await;
        }
        self.make_storage(settings).await
    }

    async fn make_storage(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        match maker(&self.storage, settings) {
            Some(Maker::Factory(factory)) => factory.build(settings).await,
            _ => Err(no_factory(Section::Storage, settings)),
        }
    }

    /// Makes the invoker that `[compute]` chose; [`Config::compute`](super::Config::compute) has its settings.
    pub async fn build_invoker(
        &self,
        settings: &Settings,
        storage: Arc<dyn Storage>,
    ) -> Result<Arc<dyn Invoker>> {
        if let (Some(Maker::Wrapper(wrapper)), Some(wrapped)) =
            (maker(&self.compute, settings), settings.wrapped())
        {
            let inner = self.make_invoker(&wrapped, storage).await?;
            return wrapper.wrap(settings, inner).await;
        }
        self.make_invoker(settings, storage).await
    }

    async fn make_invoker(&self, settings: &Settings, storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        match maker(&self.compute, settings) {
            Some(Maker::Factory(factory)) => factory.build(settings, storage).await,
            _ => Err(no_factory(Section::Compute, settings)),
        }
    }

    /// The keys of every backend, those for `[storage]` first, by name.
    pub fn backends(&self) -> impl Iterator<Item = BackendKeys> {
        let storage = self.storage.values().map(|entry| entry.keys);
        storage.chain(self.compute.values().map(|entry| entry.keys))
    }

    pub(crate) fn lookup(&self, section: Section, name: &str) -> Lookup {
        let known = match section {
            Section::Storage => self.storage.get(name).map(|entry| entry.keys),
            Section::Compute => self.compute.get(name).map(|entry| entry.keys),
        };
        match (known, OPTIONAL.iter().find(|(optional, _)| *optional == name)) {
            (Some(keys), _) => Lookup::Known(keys),
            (None, Some((_, feature))) => Lookup::NotCompiled(feature),
            (None, None) => Lookup::Unknown,
        }
    }

    /// Names that can be chosen in a section (or, without one, as `provider`), and those that could be, were
    /// they compiled in.
    pub(crate) fn names(&self, section: Option<Section>) -> (Vec<&'static str>, Vec<&'static str>) {
        let mut known: Vec<_> = self
            .backends()
            .filter(|keys| section.is_none_or(|section| keys.section == section))
            .map(|keys| keys.name)
            .collect();
        known.sort_unstable();
        known.dedup();
        let missing = OPTIONAL.iter().map(|(name, _)| *name).filter(|name| !known.contains(name)).collect();
        (known, missing)
    }

    /// Backends of a section that do not stand around others, by name.
    pub(crate) fn bases(&self, section: Section) -> impl Iterator<Item = &'static str> {
        self.backends().filter(move |keys| keys.section == section && !keys.wraps()).map(|keys| keys.name)
    }

    /// Other backends of a section that have a key of this name.
    pub(crate) fn with_key(&self, section: Section, key: &str) -> Vec<&'static str> {
        self.backends()
            .filter(|keys| keys.section == section && keys.keys.iter().any(|doc| doc.name == key))
            .map(|keys| keys.name)
            .collect()
    }

    /// Names of keys whose values must not be shown.
    pub(crate) fn secrets(&self) -> Vec<&'static str> {
        let keys: Vec<&KeyDoc> =
            self.backends().flat_map(|keys| keys.keys).filter(|key| key.secret).collect();
        keys.into_iter().map(|key| key.name).collect()
    }
}

fn maker<'a, F, W>(
    entries: &'a BTreeMap<&'static str, Entry<F, W>>,
    settings: &Settings,
) -> Option<&'a Maker<F, W>> {
    Some(&entries.get(settings.backend()?)?.maker)
}

fn no_factory(section: Section, settings: &Settings) -> Error {
    let name = settings.backend().unwrap_or_default();
    Error::new(
        ErrorKind::Internal,
        format!("{} backend `{name}` cannot be made by this program", section.name()),
    )
}

/// Names only.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("storage", &self.storage.keys())
            .field("compute", &self.compute.keys())
            .field("provisioners", &self.provisioners.keys())
            .finish()
    }
}

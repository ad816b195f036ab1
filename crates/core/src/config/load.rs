//! Loading: find the file, read the layers, merge, check.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::base_strategy::{BaseStrategy, choose_base_strategy};

use super::merge::Merge;
use super::sections::{BACKEND, PROVIDER};
use super::settings::{Context, Setting};
use super::{
    ClientConfig, ImageConfig, JobDefaults, Origin, RawConfig, RawValue, Registry, Settings, ShownValue,
    discover,
};
use crate::env::{self, Environment};
use crate::error::Result;

/// Where to look for a configuration, and what goes on top of it.
#[derive(Clone, Default)]
pub struct LoadOptions {
    pub(crate) file: Option<PathBuf>,
    pub(crate) search: bool,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) home_dir: Option<PathBuf>,
    pub(crate) user_config_dir: Option<PathBuf>,
    pub(crate) user_cache_dir: Option<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) compute: Option<&'static str>,
    pub(crate) overrides: Vec<(String, RawValue)>,
}

impl LoadOptions {
    /// This process's working directory, environment and user folders.
    pub fn of_process() -> Self {
        let user = choose_base_strategy().ok();
        Self {
            search: true,
            // Without a working directory (it was deleted) or a home there is nothing to find there.
            working_dir: std::env::current_dir().ok(),
            home_dir: user.as_ref().map(|user| user.home_dir().to_owned()),
            user_config_dir: user.as_ref().map(BaseStrategy::config_dir),
            user_cache_dir: user.as_ref().map(BaseStrategy::cache_dir),
            environment: Environment::of_process(),
            ..Self::default()
        }
    }

    /// No file, no environment, no user folders: defaults alone, until more is added.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The configuration file, which must exist. Goes before `RUSTWREN_CONFIG` and the search.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Whether to search for a file where none is named.
    pub fn search(mut self, search: bool) -> Self {
        self.search = search;
        self
    }

    /// Where the search begins, and what relative paths count from. An absolute path.
    pub fn working_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(path.into());
        self
    }

    /// The user's home folder: what `~/` in a path stands for.
    pub fn home_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.home_dir = Some(path.into());
        self
    }

    /// The user's configuration folder, where `rustwren/rustwren.toml` is looked for last.
    pub fn user_config_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.user_config_dir = Some(path.into());
        self
    }

    /// The user's cache folder, in which RustWren's is `rustwren`.
    pub fn user_cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.user_cache_dir = Some(path.into());
        self
    }

    /// Environment variables in place of those of the process.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// What serves `[compute]` where no layer chooses another: then file and environment can set its keys without
    /// choosing it first.
    pub fn default_compute(mut self, backend: &'static str) -> Self {
        self.compute = Some(backend);
        self
    }

    /// Sets a key on top of file and environment: `set("compute.workers", 4)`. A string is read as it would be
    /// in an environment variable. The last call for a key counts.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<RawValue>) -> Self {
        self.overrides.push((key.into(), value.into()));
        self
    }

    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.working_dir.as_deref().map_or_else(|| path.to_owned(), |dir| dir.join(path))
    }
}

/// Without values of variables and overrides: they may be secrets.
impl std::fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions")
            .field("file", &self.file)
            .field("working_dir", &self.working_dir)
            .field("environment", &self.environment)
            .field("overrides", &self.overrides.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A configuration: all layers merged, every key and value checked.
#[derive(Debug, Clone)]
pub struct Config {
    file: Option<PathBuf>,
    searched: Vec<PathBuf>,
    warnings: Vec<String>,
    choices: Vec<ShownValue>,
    storage: Settings,
    compute: Settings,
    image_settings: Settings,
    pub(crate) job_settings: Settings,
    client_settings: Settings,
    image: ImageConfig,
    job: JobDefaults,
    client: ClientConfig,
    context: Arc<Context>,
}

impl Config {
    /// Finds, reads, merges and checks a configuration for the backends in `registry`.
    ///
    /// Layers, each on top of the one before: defaults, the file, environment variables, the program. A layer
    /// that chooses another backend for a section drops what lower layers set for the old one.
    ///
    /// Errors are of kind [`Config`](crate::error::ErrorKind::Config) and name the place: file, line and column,
    /// or the variable.
    pub fn load(registry: &Registry, options: &LoadOptions) -> Result<Self> {
        let found = discover::discover(options)?;
        let mut merge = Merge::new(registry, options);
        if let Some(path) = &found.file {
            merge.apply(&RawConfig::parse(path, discover::read(path)?, merge.secrets())?)?;
        }
        merge.apply(&RawConfig::from_environment(&options.environment)?)?;
        merge.apply(&RawConfig::from_program(&options.overrides))?;

        let cache_dir = match env::CACHE_DIR.get_in(&options.environment) {
            Some(path) => Some(options.absolute(Path::new(path))),
            None => options.user_cache_dir.as_ref().map(|dir| dir.join("rustwren")),
        };
        let context = Arc::new(Context { cache_dir, ..Context::default() });
        let merged = merge.finish(&context)?;
        context.storage.get_or_init(|| merged.storage.1.variables());
        Ok(Self {
            file: found.file,
            searched: found.searched,
            warnings: stray_variables(&options.environment),
            choices: vec![
                shown_choice(PROVIDER.name.to_owned(), merged.provider),
                shown_choice(format!("storage.{}", BACKEND.name), Some(merged.storage.0)),
                shown_choice(format!("compute.{}", BACKEND.name), Some(merged.compute.0)),
            ],
            storage: merged.storage.1,
            compute: merged.compute.1,
            image: ImageConfig::resolve(&merged.image)?,
            job: JobDefaults::resolve(&merged.job)?,
            client: ClientConfig::resolve(&merged.client)?,
            image_settings: merged.image,
            job_settings: merged.job,
            client_settings: merged.client,
            context,
        })
    }

    /// The file that was read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Where a file was looked for in vain, first to last.
    pub fn searched(&self) -> &[PathBuf] {
        &self.searched
    }

    /// What looks like a mistake but is no error: one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// `[storage]`, for [`Registry::build_storage`].
    pub fn storage(&self) -> &Settings {
        &self.storage
    }

    /// `[compute]`, for [`Registry::build_invoker`].
    pub fn compute(&self) -> &Settings {
        &self.compute
    }

    /// `[image]`.
    pub fn image(&self) -> &ImageConfig {
        &self.image
    }

    /// `[job]`.
    pub fn job(&self) -> &JobDefaults {
        &self.job
    }

    /// `[client]`.
    pub fn client(&self) -> &ClientConfig {
        &self.client
    }

    /// RustWren's cache folder. It need not exist yet. An error where the user has no home folder and
    /// `RUSTWREN_CACHE_DIR` is not set.
    pub fn cache_dir(&self) -> Result<&Path> {
        self.context.cache_dir()
    }

    /// Every key that holds for this configuration, with its value and where that comes from; secrets masked.
    pub fn show(&self) -> Vec<ShownValue> {
        let [provider, storage, compute] = [0, 1, 2].map(|index| self.choices.get(index).cloned());
        provider
            .into_iter()
            .chain(storage)
            .chain(self.storage.show())
            .chain(compute)
            .chain(self.compute.show())
            .chain(self.image_settings.show())
            .chain(self.job_settings.show())
            .chain(self.client_settings.show())
            .collect()
    }
}

fn shown_choice(key: String, setting: Option<Setting>) -> ShownValue {
    match setting {
        Some(Setting { value, origin }) => ShownValue { key, value: Some(value), meaning: None, origin },
        None => ShownValue {
            key,
            value: None,
            meaning: Some("as `backend` in each section says"),
            origin: Origin::Default,
        },
    }
}

/// Variables that start like ours and are not: most likely `RUSTWREN_COMPUTE_WORKERS` for
/// `RUSTWREN__COMPUTE__WORKERS`. No error, since another program may have set them.
fn stray_variables(environment: &Environment) -> Vec<String> {
    environment
        .iter()
        .filter_map(|(name, _)| name.to_str())
        .filter(|name| name.starts_with("RUSTWREN_") && !name.starts_with(env::OVERRIDE_PREFIX))
        .filter(|name| env::ALL.iter().all(|variable| variable.name != *name))
        .map(|name| {
            format!(
                "environment variable {name} means nothing to RustWren; a configuration key is set by \
                 {}SECTION__KEY, with two underscores",
                env::OVERRIDE_PREFIX
            )
        })
        .collect()
}

//! The storage that the configuration names, and the jobs in it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use rustwren::__cli::config::{Config, LoadOptions};
use rustwren::__cli::durable::jobs::{self, JobInfo};
use rustwren::__cli::durable::{DEFAULT_LEASE, JobId, Owner, Store};
use rustwren::__cli::error::{Error, ErrorKind, Result};
use rustwren::__cli::{TokioClock, registry};

use crate::args::Cli;
use crate::find::find;
use crate::output;

/// What the keys of jobs begin with.
const JOBS: &str = "jobs/";

/// The storage that the configuration names.
pub(crate) struct Place {
    pub(crate) config: Config,
    pub(crate) store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    /// Reads the configuration and makes its storage.
    pub(crate) fn open(cli: &Cli) -> Result<Self> {
        let mut options = LoadOptions::of_process();
        if let Some(path) = &cli.config {
            options = options.file(path);
        }
        let registry = registry();
        let config = Config::load(&registry, &options)?;
        for warning in config.warnings() {
            output::warning(warning);
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(ErrorKind::Internal, "the async runtime could not be started").with_source(error)
            })?;
        let storage = runtime.block_on(registry.build_storage(config.storage()))?;
        let store = Store::new(storage, Arc::new(TokioClock::new()));
        Ok(Self { config, store, runtime })
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        self.store.storage().location()
    }

    /// How long a sign of life of this process holds.
    pub(crate) fn lease(&self) -> Duration {
        self.config.job().lease.unwrap_or(DEFAULT_LEASE)
    }

    /// All jobs, newest first.
    pub(crate) fn jobs(&self) -> Result<Vec<JobInfo>> {
        let mut jobs = self.block_on(jobs::list(&self.store))?;
        jobs.reverse();
        Ok(jobs)
    }

    /// The job that a user means by an id or the beginning of one.
    pub(crate) fn job(&self, wanted: &str) -> Result<JobId> {
        Ok(self.some_jobs(&[wanted])?.remove(0))
    }

    /// The jobs that a user means, in order and each once. Never empty where `wanted` is not.
    pub(crate) fn some_jobs(&self, wanted: &[impl AsRef<str>]) -> Result<Vec<JobId>> {
        let mut found: Vec<JobId> = Vec::new();
        for wanted in wanted {
            let id = self.block_on(self.resolve(wanted.as_ref()))?;
            if !found.contains(&id) {
                found.push(id);
            }
        }
        Ok(found)
    }

    async fn resolve(&self, wanted: &str) -> Result<JobId> {
        // A job may have very many objects: for a whole id, one of them says enough.
        if let Ok(id) = JobId::new(wanted)
            && self.store.storage().list(&id.prefix()).try_next().await?.is_some()
        {
            return Ok(id);
        }
        // A key's prefix must be one of a key's; what is none is in no key either.
        let typed = wanted.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        let mut ids = if typed { self.ids(wanted).await? } else { BTreeSet::new() };
        if ids.is_empty() {
            // For the nearest ones.
            ids = self.ids("").await?;
        }
        let names: Vec<&str> = ids.iter().map(JobId::as_str).collect();
        JobId::new(find(wanted, &names, &self.location())?)
    }

    /// The ids that begin so.
    async fn ids(&self, beginning: &str) -> Result<BTreeSet<JobId>> {
        let mut ids = BTreeSet::new();
        let mut objects = self.store.storage().list(&format!("{JOBS}{beginning}"));
        while let Some(object) = objects.try_next().await? {
            ids.extend(JobId::of_key(&object.key).map(|(id, _)| id));
        }
        Ok(ids)
    }

    /// This process, for whoever finds something of its doing.
    pub(crate) fn owner() -> Owner {
        let program = std::env::current_exe().map(|path| path.display().to_string());
        Owner::of_process(program.unwrap_or_default())
    }
}

//! The providers that the configuration chose, as far as they have something to set up.

use std::future::Future;
use std::time::Instant;

use rustwren::__cli::config::{Config, LoadOptions};
use rustwren::__cli::error::{Error, ErrorKind, Result};
use rustwren::__cli::registry;
use rustwren::provision::{Leg, Named, SetupOptions};

use crate::args::Cli;
use crate::output;

/// The configuration with its provisioners, and what runs them.
pub(crate) struct Providers {
    pub(crate) config: Config,
    pub(crate) named: Vec<Named>,
    runtime: tokio::runtime::Runtime,
}

impl Providers {
    /// Reads the configuration and makes the provisioners that it calls for.
    pub(crate) fn open(cli: &Cli, options: &SetupOptions) -> Result<Self> {
        let mut load = LoadOptions::of_process();
        if let Some(path) = &cli.config {
            load = load.file(path);
        }
        let config = Config::load(&registry(), &load)?;
        for warning in config.warnings() {
            output::warning(warning);
        }
        Self::of(config, options)
    }

    /// Makes the provisioners that a configuration calls for.
    pub(crate) fn of(config: Config, options: &SetupOptions) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(ErrorKind::Internal, "the async runtime could not be started").with_source(error)
            })?;
        let named = runtime.block_on(registry().build_provisioners(&config, options))?;
        Ok(Self { config, named, runtime })
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Both backends, for people: `local`, `aws and http`.
    pub(crate) fn names(&self) -> String {
        let [storage, compute] =
            [self.config.storage(), self.config.compute()].map(|section| section.backend().unwrap_or("none"));
        if storage == compute { storage.to_owned() } else { format!("{storage} and {compute}") }
    }

    /// What all of them find. Those behind the first that finds a fault are not asked.
    pub(crate) fn verify(&self) -> Vec<Leg> {
        let mut legs = Vec::new();
        for named in &self.named {
            let started = Instant::now();
            let mut found = self.block_on(named.provisioner.verify());
            if found.is_empty() {
                // So that nobody takes silence for a proof.
                let nothing = Ok(format!("{}: nothing to look at", named.provisioner.target()));
                found.push(Leg::new(named.backend, started.elapsed(), nothing));
            }
            let broken = found.iter().any(|leg| leg.outcome.is_err());
            legs.extend(found);
            if broken {
                break;
            }
        }
        legs
    }
}

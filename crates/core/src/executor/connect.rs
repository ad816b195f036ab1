//! `Executor::connect`: from configuration to an executor.

use std::sync::Arc;

use super::handle::{Defaults, Executor};
use super::program::ProgramSource;
use crate::config::{Config, ImageConfig, LoadOptions};
use crate::env;
use crate::error::{Error, ErrorKind, Result};
use crate::init;

/// How deep jobs may be nested: each level has workers of its own.
const MOST_NESTED: u32 = 4;

impl Executor {
    /// An executor as the configuration says: `rustwren.toml` where one is found, the environment, and defaults.
    /// Without any configuration it runs on this machine.
    ///
    /// Inside a task it makes an executor for nested jobs, with workers of its own.
    pub async fn connect() -> Result<Self> {
        Self::connect_with(&LoadOptions::of_process()).await
    }

    /// The same with a configuration found and overridden as `options` say.
    pub async fn connect_with(options: &LoadOptions) -> Result<Self> {
        let registry = init::registry()?;
        let config = Config::load(registry, options)?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let depth = env::worker_depth();
        if depth >= MOST_NESTED {
            let message = format!("jobs are nested {depth} deep; at most {MOST_NESTED} levels are allowed");
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("does the mapped function call itself through the executor?"));
        }
        let job = config.job();
        let defaults = Defaults {
            retries: job.retries,
            timeout: job.timeout,
            chunk_size: job.chunk_size,
            workers: job.workers,
            concurrency: job.concurrency,
            budget: job.budget,
            lease: job.lease,
        };
        let watcher = init::watcher(config.client());
        let cache_dir = config.cache_dir().ok().map(ToOwned::to_owned);
        let config = Arc::new(config);
        Self::builder()
            .program(program(config.image(), depth))
            .defaults(defaults)
            .watcher(watcher)
            .cache_dir(cache_dir)
            .carried(config.carried())
            .build(move || async move {
                let storage = registry.build_storage(config.storage()).await?;
                let invoker = registry.build_invoker(config.compute(), Arc::clone(&storage)).await?;
                Ok((invoker, storage))
            })
            .await
    }
}

/// What workers run. A task's own jobs run what the task does: no other build need be where it is.
fn program(image: &ImageConfig, depth: u32) -> ProgramSource {
    match &image.path {
        Some(path) if depth == 0 && image.command.is_empty() => ProgramSource::File(path.clone()),
        Some(path) if depth == 0 => {
            ProgramSource::Built { command: image.command.clone(), path: path.clone() }
        }
        _ => ProgramSource::ThisProgram,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_run() {
        let mut image = ImageConfig::default();
        assert_eq!(program(&image, 0), ProgramSource::ThisProgram);
        image.path = Some("other".into());
        assert_eq!(program(&image, 0), ProgramSource::File("other".into()));
        assert_eq!(program(&image, 1), ProgramSource::ThisProgram);
        image.command = vec!["make".to_owned()];
        let built = ProgramSource::Built { command: vec!["make".to_owned()], path: "other".into() };
        assert_eq!(program(&image, 0), built);
    }
}

//! Function processes on this machine, supervised inside the client process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::config::Settings;
use rustwren_core::env;
use rustwren_core::error::{BackendError, ErrorClass, Result};
use rustwren_core::image::{ImageId, image_key};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_core::storage::Storage;
use rustwren_runtime::image_cache::{CachedImage, ImageCache};
use rustwren_runtime::{Pool, PoolOptions, Program};
use tokio::sync::OnceCell;

use crate::config::{ComputeConfig, ImageMode};

/// What one invocation costs here beyond its tasks' own time: two passages of a socket, some bookkeeping.
const OVERHEAD: Duration = Duration::from_micros(50);
/// Invocations that may wait for each process. Enough to fill a socket's buffer with the smallest ones.
const PIPELINING: usize = 128;
/// Unpacked images kept on this machine.
const IMAGE_CACHE_BYTES: u64 = 2 << 30;

/// How a [`LocalInvoker`] is set up.
#[derive(Debug)]
pub struct LocalOptions {
    /// The `[compute]` section.
    pub config: ComputeConfig,
    /// Where unpacked images are kept, for [`ImageMode::Packed`].
    pub image_dir: Option<PathBuf>,
    /// Where images, large inputs and shared values lie.
    pub storage: Arc<dyn Storage>,
}

impl LocalOptions {
    /// As a configuration says.
    pub fn from_config(
        config: ComputeConfig,
        settings: &Settings,
        storage: Arc<dyn Storage>,
    ) -> Result<Self> {
        let image_dir = match config.image {
            ImageMode::Direct => None,
            ImageMode::Packed => Some(settings.cache_dir()?.join("unpacked")),
        };
        Ok(Self { config, image_dir, storage })
    }
}

/// Runs invocations in function processes of this machine.
#[derive(Debug)]
pub struct LocalInvoker {
    limits: Limits,
    options: LocalOptions,
    images: Option<ImageCache>,
    /// Made with the first invocation, which says which image it needs.
    pool: OnceCell<Started>,
}

#[derive(Debug)]
struct Started {
    pool: Pool,
    /// Keeps the image from being evicted while processes are started from it.
    _image: Option<CachedImage>,
}

impl LocalInvoker {
    /// An invoker that has not started any process yet.
    pub fn new(options: LocalOptions) -> Self {
        let mut limits = Limits::unlimited(options.config.workers);
        limits.pipelining = PIPELINING;
        limits.overhead = OVERHEAD;
        limits.reports_start = true;
        limits.ships_image = options.image_dir.is_some();
        let images = options.image_dir.as_ref().map(|dir| ImageCache::new(dir, IMAGE_CACHE_BYTES));
        Self { limits, options, images, pool: OnceCell::new() }
    }

    async fn start(&self, image: ImageId) -> Result<Started, BackendError> {
        let cached = match &self.images {
            None => None,
            Some(images) => Some(images.ensure(&*self.options.storage, image, &image_key(image)?).await?),
        };
        let config = &self.options.config;
        let mut options = PoolOptions::new(image);
        options.program =
            cached.as_ref().map_or(Program::ThisProgram, |cached| Program::Path(cached.path().to_owned()));
        options.workers = config.workers;
        options.memory_limit = config.memory_limit;
        options.stack_size = config.stack_size as u64;
        options.start_timeout = config.start_timeout;
        options.pass_env.clone_from(&config.pass_env);
        options.depth = env::worker_depth();
        Ok(Started { pool: Pool::new(options, Some(Arc::clone(&self.options.storage))), _image: cached })
    }
}

#[async_trait]
impl Invoker for LocalInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let image = invocation.job.entry.image;
        let started = self.pool.get_or_try_init(|| self.start(image)).await?;
        if started.pool.options().image != image {
            let message = "one executor on this machine runs one program; this is another";
            return Err(BackendError::new(ErrorClass::Invalid, message));
        }
        started.pool.invoke(invocation, events).await
    }

    async fn invoke_detached(&self, _invocation: Invocation) -> Result<(), BackendError> {
        let message = "the workers of the local backend end with the client, so nothing can be left to them";
        Err(BackendError::new(ErrorClass::Invalid, message))
    }

    async fn shutdown(&self) {
        if let Some(started) = self.pool.get() {
            started.pool.shutdown();
        }
    }
}

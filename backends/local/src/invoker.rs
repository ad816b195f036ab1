//! Function processes on this machine, supervised inside the client process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::config::Settings;
use rustwren_core::env;
use rustwren_core::error::{BackendError, ErrorClass, Result};
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::invoker::{Events, Invocation, Invoker, JobSpec, Limits, Payload, Reply};
use rustwren_core::price::Price;
use rustwren_core::storage::Storage;
use rustwren_runtime::image_cache::{CachedImage, ImageCache};
use rustwren_runtime::{Life, Pool, Program, fetch};
use tokio::sync::OnceCell;

use crate::config::{ComputeConfig, ImageMode};
use crate::detach;
use crate::order::Order;

/// What one invocation costs here beyond its tasks' own time: two passages of a socket, some bookkeeping.
const OVERHEAD: Duration = Duration::from_micros(50);
/// Invocations that may wait for each process. Enough to fill a socket's buffer with the smallest ones.
const PIPELINING: usize = 128;
/// Unpacked images kept on this machine.
const IMAGE_CACHE_BYTES: u64 = 2 << 30;

/// How often invocations under way are told as alive.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How a [`LocalInvoker`] is set up.
#[derive(Debug)]
pub struct LocalOptions {
    /// The `[compute]` section.
    pub config: ComputeConfig,
    /// RustWren's cache folder, for unpacked images and the logs of agents. Without one, only the running program
    /// can be run.
    pub cache_dir: Option<PathBuf>,
    /// Variables by which tasks find the storage.
    pub storage_variables: Vec<(String, String)>,
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
        let cache_dir = match (config.image, settings.cache_dir()) {
            (ImageMode::Packed, dir) => Some(dir?),
            (ImageMode::Direct, dir) => dir.ok(),
        };
        let storage_variables = settings.storage_variables().to_vec();
        Ok(Self { cache_dir: cache_dir.map(ToOwned::to_owned), storage_variables, config, storage })
    }
}

/// Runs invocations in function processes of this machine.
#[derive(Debug)]
pub struct LocalInvoker {
    limits: Limits,
    options: LocalOptions,
    images: Option<ImageCache>,
    /// The running program's, once it was asked for.
    own_image: OnceCell<ImageId>,
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
        let mut limits = Limits::unlimited(options.config.processes.workers);
        limits.pipelining = PIPELINING;
        limits.overhead = OVERHEAD;
        limits.max_duration = options.config.processes.max_duration;
        limits.price = options.config.price_per_second.map(Price::of_time);
        limits.startup = options.config.processes.start_timeout;
        limits.reports_start = true;
        limits.heartbeat = Some(HEARTBEAT * 2);
        limits.ships_image = options.config.image == ImageMode::Packed;
        let dir = options.cache_dir.as_ref().map(|dir| dir.join("unpacked"));
        let images = dir.map(|dir| ImageCache::new(dir, IMAGE_CACHE_BYTES));
        Self { limits, options, images, own_image: OnceCell::new(), pool: OnceCell::new() }
    }

    /// The image as a file, from storage.
    async fn unpacked(&self, image: ImageId) -> Result<CachedImage, BackendError> {
        let Some(images) = &self.images else {
            let message = format!("there is no cache folder to unpack the program (image {image}) in");
            return Err(BackendError::new(ErrorClass::Misconfigured, message)
                .with_hint(format!("set {} to a folder", env::CACHE_DIR.name)));
        };
        images.ensure(&*self.options.storage, image, &image_key(image)?).await
    }

    /// Whether this image is the program that is running.
    async fn is_own(&self, image: ImageId) -> Result<bool, BackendError> {
        let own = self.own_image.get_or_try_init(|| async {
            let cache_dir = self.options.cache_dir.clone();
            let read =
                move || ProgramImage::of_this_program(cache_dir.as_deref()).map(|program| program.id());
            let failed = || BackendError::new(ErrorClass::Internal, "the running program cannot be read");
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|e| failed().with_source(e))?.map_err(|e| failed().with_source(e))
        });
        Ok(*own.await? == image)
    }

    /// The payload's own bytes.
    async fn inline(&self, payload: &Payload) -> Result<Payload, BackendError> {
        Ok(match payload {
            Payload::Inline(_) => payload.clone(),
            Payload::Stored { key, offset, len } => {
                Payload::Inline(vec![fetch(&*self.options.storage, key, *offset, *len).await?])
            }
        })
    }

    async fn start(&self, image: ImageId) -> Result<Started, BackendError> {
        let config = &self.options.config;
        let cached = match config.image {
            ImageMode::Direct => None,
            ImageMode::Packed => Some(self.unpacked(image).await?),
        };
        let mut options = config.processes.pool_options(image);
        options.program =
            cached.as_ref().map_or(Program::ThisProgram, |cached| Program::Path(cached.path().to_owned()));
        options.set = self.options.storage_variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        options.depth = env::worker_depth();
        options.heartbeat = Some(HEARTBEAT);
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
        let life = self.limits.max_duration.map_or(Life::Unlimited, Life::For);
        started.pool.invoke_for(life, invocation, events).await
    }

    /// Starts an agent (see [`crate::agent`]): this program again if it is the one that the invocation names,
    /// otherwise that program from storage.
    async fn invoke_detached(&self, mut invocation: Invocation) -> Result<(), BackendError> {
        if invocation.count == 0 {
            return Err(BackendError::new(ErrorClass::Invalid, "an invocation has at least one element"));
        }
        let (config, image) = (&self.options.config, invocation.job.entry.image);
        let cached = if config.image == ImageMode::Direct && self.is_own(image).await? {
            None
        } else {
            let cached = self.unpacked(image).await;
            Some(cached.map_err(|error| match error.class() {
                ErrorClass::NotFound => no_program(&invocation, &*self.options.storage).with_source(error),
                _ => error,
            })?)
        };
        let program =
            cached.as_ref().map_or(Program::ThisProgram, |cached| Program::Path(cached.path().to_owned()));
        // An agent needs no storage, and so none of its credentials.
        invocation.inputs = self.inline(&invocation.inputs).await?;
        if let Some(shared @ Payload::Stored { .. }) = &invocation.job.shared {
            let shared = Some(self.inline(shared).await?);
            invocation.job = Arc::new(JobSpec { shared, ..(*invocation.job).clone() });
        }
        let logs = self.options.cache_dir.as_ref().map(|dir| dir.join("agents"));
        detach::start(&program, Order::new(&config.processes), &invocation, logs.as_deref()).await
    }

    async fn shutdown(&self) {
        if let Some(started) = self.pool.get() {
            started.pool.shutdown();
        }
    }
}

/// The program that an invocation names is nowhere.
fn no_program(invocation: &Invocation, storage: &dyn Storage) -> BackendError {
    let (label, image) = (&invocation.job.label, invocation.job.entry.image);
    let message = format!("the program of job {label} (image {image}) is not in {}", storage.location());
    BackendError::new(ErrorClass::NotFound, message).with_hint(
        "a job can be continued by the very program that began it, or as long as that is in storage",
    )
}

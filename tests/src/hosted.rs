//! Workers that share nothing with the client but a storage, in this process: invocations go to a
//! [`Host`] as bytes and answers come back as bytes, as over any network, and both are counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use rustwren::storage::{MemoryStorage, Storage};
use rustwren::{BackendError, ErrorClass, Executor, Result};
use rustwren_core::durable::JobId;
use rustwren_core::executor::Defaults;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_core::protocol::invocation;
use rustwren_core::protocol::listener::Listener;
use rustwren_core::storage::StorageExt;
use rustwren_runtime::host::{AnswerStream, Host, HostOptions, Room};
use rustwren_runtime::image_cache::ImageCache;
use rustwren_runtime::{Life, PoolOptions};

/// Function processes of a [`Hosted`].
const WORKERS: usize = 2;
/// Unpacked images kept.
const IMAGE_BYTES: u64 = 2 << 30;

/// An invoker over a [`Host`].
#[derive(Debug)]
pub struct Hosted {
    host: Arc<Host>,
    limits: Limits,
    room: Room,
    counts: Arc<Counts>,
}

/// What has passed between a client and its [`Hosted`].
#[derive(Debug, Default)]
pub struct Counts {
    /// Bytes of invocations.
    pub sent: AtomicU64,
    /// Bytes of answers.
    pub received: AtomicU64,
    /// Outputs of earlier steps are removed before an invocation reads them.
    pub lose: AtomicBool,
}

impl Counts {
    /// All bytes so far.
    pub fn bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) + self.received.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Invoker for Hosted {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        if invocation.passing.refers && self.counts.lose.load(Ordering::Relaxed) {
            let storage = self.host.storage();
            for object in storage.list_all("jobs/").await? {
                if JobId::of_key(&object.key).is_some_and(|(_, name)| name.starts_with("out/")) {
                    storage.delete(&object.key).await?;
                }
            }
        }
        let mut listener = Listener::new(invocation.id, events);
        let sent = invocation::encode(&invocation).map_err(|error| {
            BackendError::new(ErrorClass::Internal, "an invocation has no encoding").with_source(error)
        })?;
        self.counts.sent.fetch_add(sent.len() as u64, Ordering::Relaxed);
        let taken = invocation::decode(&sent)?;
        let mut answer = AnswerStream::new(&self.host, taken, Life::Unlimited, self.room, ());
        while let Some(bytes) = answer.next().await {
            self.counts.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            listener.hear(&bytes)?;
        }
        listener.end()
    }

    async fn invoke_detached(&self, _: Invocation) -> Result<(), BackendError> {
        Err(BackendError::new(ErrorClass::Invalid, "nothing runs here without its client"))
    }

    async fn shutdown(&self) {
        self.host.shutdown();
    }
}

/// An executor over two workers that know the client by its bytes alone.
#[derive(Debug)]
pub struct Place {
    /// What they have in common.
    pub storage: Arc<dyn Storage>,
    /// How much an answer carries.
    pub room: Room,
    /// What has passed.
    pub counts: Arc<Counts>,
    /// How long signs of life hold.
    pub lease: Option<Duration>,
}

impl Default for Place {
    fn default() -> Self {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        Self { storage, room: Room::STREAM, counts: Arc::default(), lease: None }
    }
}

impl Place {
    /// Connects to it. Programs are packed and unpacked below the folder `cache`.
    pub async fn connect(&self, cache: &Path) -> Result<Executor> {
        let mut limits = Limits::unlimited(WORKERS);
        limits.ships_image = true;
        limits.reports_start = true;
        let mut pool = PoolOptions::new(ImageId([0; 32]));
        pool.workers = WORKERS;
        let images = ImageCache::new(cache.join("unpacked"), IMAGE_BYTES);
        let options = HostOptions { pool, images, warm_images: 1, idle: Duration::MAX };
        let (storage, counts, room) = (Arc::clone(&self.storage), Arc::clone(&self.counts), self.room);
        Executor::builder()
            .cache_dir(Some(cache.to_owned()))
            .defaults(Defaults { lease: self.lease, ..Defaults::default() })
            .build(move || async move {
                let host = Arc::new(Host::new(options, Arc::clone(&storage)));
                let invoker: Arc<dyn Invoker> = Arc::new(Hosted { host, limits, room, counts });
                Ok((invoker, storage))
            })
            .await
    }
}

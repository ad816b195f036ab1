//! Storage as users get it, from an executor or inside of a task: usable on any thread, with or without an async runtime.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;

use super::block_on::block_on;
use super::driver::Driver;
use super::handle::Inner;
use crate::config::{Config, LoadOptions};
use crate::error::{BackendError, Error, ErrorClass, ErrorKind, Result};
use crate::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};
use crate::{env, init};

/// Objects that are listed ahead of whoever reads the list.
const AHEAD: usize = 256;
/// What the keys of RustWren's own objects begin with.
const JOBS: &str = "jobs/";
const IMAGES: &str = "images/";

/// Where a storage's backend lives.
pub(super) trait Home: Send + Sync {
    /// The thread that it runs on.
    fn driver(&self) -> &Driver;
    /// The storage itself.
    fn storage(&self) -> &Arc<dyn Storage>;
}

impl Home for Inner {
    fn driver(&self) -> &Driver {
        &self.driver
    }

    fn storage(&self) -> &Arc<dyn Storage> {
        &self.resources.storage
    }
}

/// A storage without an executor.
struct Apart {
    driver: Driver,
    storage: Arc<dyn Storage>,
}

impl Home for Apart {
    fn driver(&self) -> &Driver {
        &self.driver
    }

    fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }
}

/// The storage of this process's configuration, made when it is first asked for: in a function process its job's.
pub(crate) fn of_process() -> Result<Arc<dyn Storage>> {
    static MADE: Mutex<Option<Arc<dyn Storage>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(storage) = &*made {
        return Ok(Arc::clone(storage));
    }
    let registry = init::registry()?;
    let config = Config::load(registry, &LoadOptions::of_process())?;
    let driver = Driver::start()?;
    let building = driver.run(async move { registry.build_storage(config.storage()).await });
    let storage = block_on(building)??;
    if env::is_worker() && !storage.is_durable() {
        let message =
            format!("the job's storage, {}, is in the program that started the job", storage.location());
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("choose a storage in [storage] of the configuration that workers have as well"));
    }
    let storage: Arc<dyn Storage> = Arc::new(DrivenStorage { home: Arc::new(Apart { driver, storage }) });
    Ok(Arc::clone(made.insert(storage)))
}

/// An error for what is RustWren's own.
fn check_own(key: &Key) -> StorageResult<()> {
    match [JOBS, IMAGES].iter().find(|prefix| key.as_str().starts_with(**prefix)) {
        None => Ok(()),
        Some(prefix) => {
            let message = format!("{key} cannot be changed here: what lies below {prefix} is RustWren's");
            Err(BackendError::new(ErrorClass::Invalid, message).with_hint(
                "take another name for objects of your own; `rustwren jobs clean` removes what jobs have left",
            ))
        }
    }
}

/// Runs every operation of a storage on the thread where its backend lives.
pub(super) struct DrivenStorage {
    pub(super) home: Arc<dyn Home>,
}

impl std::fmt::Debug for DrivenStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DrivenStorage").field(self.home.storage()).finish()
    }
}

impl DrivenStorage {
    async fn run<T, F, Fut>(&self, operation: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Storage>) -> Fut + Send + 'static,
        Fut: Future<Output = StorageResult<T>> + Send,
    {
        let storage = Arc::clone(self.home.storage());
        self.home.driver().run(async move { operation(storage).await }).await.map_err(|error| {
            BackendError::new(ErrorClass::Internal, "a storage operation did not end well").with_source(error)
        })?
    }
}

#[async_trait]
impl Storage for DrivenStorage {
    fn location(&self) -> String {
        self.home.storage().location()
    }

    fn is_durable(&self) -> bool {
        self.home.storage().is_durable()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        check_own(key)?;
        let key = key.clone();
        self.run(move |storage| async move { storage.put(&key, data).await }).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        check_own(key)?;
        let key = key.clone();
        self.run(move |storage| async move { storage.put_if_absent(&key, data).await }).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        let key = key.clone();
        self.run(move |storage| async move { storage.get(&key).await }).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let key = key.clone();
        self.run(move |storage| async move { storage.get_range(&key, range).await }).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let key = key.clone();
        self.run(move |storage| async move { storage.head(&key).await }).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let (send, receive) = mpsc::channel(AHEAD);
        let (storage, prefix) = (Arc::clone(self.home.storage()), prefix.to_owned());
        self.home.driver().spawn(async move {
            let mut list = storage.list(&prefix);
            while let Some(object) = list.next().await {
                // Whoever asked for the list has dropped it.
                if send.send(object).await.is_err() {
                    return;
                }
            }
        });
        stream::unfold(
            receive,
            |mut receive| async move { receive.recv().await.map(|object| (object, receive)) },
        )
        .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        check_own(key)?;
        let key = key.clone();
        self.run(move |storage| async move { storage.delete(&key).await }).await
    }
}

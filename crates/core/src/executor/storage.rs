//! The executor's storage as users get it: usable on any thread, with or without an async runtime.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;

use super::handle::Inner;
use crate::error::{BackendError, ErrorClass};
use crate::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};

/// Objects that are listed ahead of whoever reads the list.
const AHEAD: usize = 256;

/// Runs every operation of a storage on the executor's own thread, where its backend lives.
pub(super) struct DrivenStorage {
    pub(super) executor: Arc<Inner>,
}

impl std::fmt::Debug for DrivenStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DrivenStorage").field(&self.executor.resources.storage).finish()
    }
}

impl DrivenStorage {
    async fn run<T, F, Fut>(&self, operation: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Storage>) -> Fut + Send + 'static,
        Fut: Future<Output = StorageResult<T>> + Send,
    {
        let storage = Arc::clone(&self.executor.resources.storage);
        self.executor.driver.run(async move { operation(storage).await }).await.map_err(|error| {
            BackendError::new(ErrorClass::Internal, "a storage operation did not end well").with_source(error)
        })?
    }
}

#[async_trait]
impl Storage for DrivenStorage {
    fn location(&self) -> String {
        self.executor.resources.storage.location()
    }

    fn is_durable(&self) -> bool {
        self.executor.resources.storage.is_durable()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        let key = key.clone();
        self.run(move |storage| async move { storage.put(&key, data).await }).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
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
        let (storage, prefix) = (Arc::clone(&self.executor.resources.storage), prefix.to_owned());
        self.executor.driver.spawn(async move {
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
        let key = key.clone();
        self.run(move |storage| async move { storage.delete(&key).await }).await
    }
}

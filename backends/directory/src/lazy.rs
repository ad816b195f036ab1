//! A directory storage that is opened when it is first used.
//!
//! Most jobs on this machine store nothing. They need no directory, and a home that cannot be written is no
//! trouble of theirs.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};
use tokio::sync::OnceCell;

use crate::DirectoryStorage;

/// A [`DirectoryStorage`] to be.
#[derive(Debug)]
pub struct LazyDirectory {
    root: PathBuf,
    opened: OnceCell<DirectoryStorage>,
}

impl LazyDirectory {
    /// The storage below this directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root, opened: OnceCell::new() }
    }

    async fn open(&self) -> StorageResult<&DirectoryStorage> {
        let open = || async {
            let root = self.root.clone();
            tokio::task::spawn_blocking(move || DirectoryStorage::open(root)).await.map_err(|error| {
                BackendError::new(ErrorClass::Internal, "opening a storage did not end well")
                    .with_source(error)
            })?
        };
        self.opened.get_or_try_init(open).await
    }
}

#[async_trait]
impl Storage for LazyDirectory {
    fn location(&self) -> String {
        format!("file://{}", self.root.display())
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.open().await?.put(key, data).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.open().await?.put_if_absent(key, data).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.open().await?.get(key).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.open().await?.get_range(key, range).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        self.open().await?.head(key).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let prefix = prefix.to_owned();
        stream::once(async move { Ok::<_, BackendError>(self.open().await?.list(&prefix)) })
            .try_flatten()
            .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.open().await?.delete(key).await
    }
}

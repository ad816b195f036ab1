//! A part of a store that looks like a whole one.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

use super::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};
use crate::error::{BackendError, ErrorClass};

/// Everything below one key of another store: the object `k` of this one is `prefix/k` of the other.
///
/// Nothing outside can be read, written or listed through it, since a [`Key`] has no part that leads upwards.
/// Prefix and key together must be a valid key: the room for names is smaller by the prefix.
#[derive(Debug, Clone)]
pub struct PrefixedStorage {
    inner: Arc<dyn Storage>,
    /// Ends with `/`.
    prefix: String,
}

impl PrefixedStorage {
    /// The part of `inner` below `prefix`.
    pub fn new(inner: Arc<dyn Storage>, prefix: &Key) -> Self {
        Self { inner, prefix: format!("{prefix}/") }
    }

    /// The key of the other store.
    fn outer(&self, key: &Key) -> StorageResult<Key> {
        Key::new(format!("{}{key}", self.prefix)).map_err(|error| {
            error.with_hint(format!("all keys here are stored below {:?}: use a shorter key", self.prefix))
        })
    }

    /// The same object under its key of this store.
    fn inner_meta(prefix: &str, mut meta: ObjectMeta) -> StorageResult<ObjectMeta> {
        let Some(name) = meta.key.as_str().strip_prefix(prefix) else {
            let message = format!("the listing of {prefix:?} holds {:?}", meta.key);
            return Err(BackendError::new(ErrorClass::Internal, message));
        };
        meta.key = Key::new(name)?;
        Ok(meta)
    }
}

#[async_trait]
impl Storage for PrefixedStorage {
    fn location(&self) -> String {
        let mut location = self.inner.location();
        if !location.ends_with('/') {
            location.push('/');
        }
        location + self.prefix.trim_end_matches('/')
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.inner.put(&self.outer(key)?, data).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.inner.put_if_absent(&self.outer(key)?, data).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.inner.get(&self.outer(key)?).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.inner.get_range(&self.outer(key)?, range).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        Self::inner_meta(&self.prefix, self.inner.head(&self.outer(key)?).await?)
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let listed = self.inner.list(&format!("{}{prefix}", self.prefix));
        listed.map(|meta| Self::inner_meta(&self.prefix, meta?)).boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.inner.delete(&self.outer(key)?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryStorage, StorageExt};

    fn key(name: &str) -> Key {
        Key::new(name).unwrap()
    }

    #[tokio::test]
    async fn objects_lie_below_the_prefix_and_nothing_else_shows() {
        let whole = MemoryStorage::new();
        for name in ["p", "p-q", "pp/a", "q/p/a"] {
            whole.put(&key(name), Bytes::new()).await.unwrap();
        }
        let part = PrefixedStorage::new(Arc::new(whole.clone()), &key("p"));
        assert!(part.list_all("").await.unwrap().is_empty());
        part.put(&key("a/b"), Bytes::from_static(b"v")).await.unwrap();
        assert_eq!(whole.get(&key("p/a/b")).await.unwrap(), "v");
        assert_eq!(part.head(&key("a/b")).await.unwrap().key, key("a/b"));
        assert_eq!(part.list_all("a").await.unwrap()[0].key, key("a/b"));
        assert_eq!(part.get(&key("q/p/a")).await.unwrap_err().class(), ErrorClass::NotFound);
        assert_eq!(part.delete_prefix("").await.unwrap(), 1);
        assert_eq!(whole.list_all("").await.unwrap().len(), 4);
        assert_eq!(part.location(), "memory://p");
    }

    #[tokio::test]
    async fn a_key_that_does_not_fit_is_refused_with_a_hint() {
        let part = PrefixedStorage::new(Arc::new(MemoryStorage::new()), &key("prefix"));
        let error = part.get(&key(&"x".repeat(900))).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Invalid);
        assert!(error.hint().unwrap().contains("prefix/"), "{error:?}");
    }
}

//! What callers of a [`Storage`] do often, made of its required methods.

use std::future::{Future, ready};

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::{Key, ObjectMeta, Storage, StorageResult};
use crate::error::ErrorClass;

/// How many objects `delete_prefix` removes at a time.
const CONCURRENT_DELETES: usize = 16;

/// Conveniences over every [`Storage`].
pub trait StorageExt: Storage {
    /// Whether there is such an object.
    fn exists(&self, key: &Key) -> impl Future<Output = StorageResult<bool>> + Send {
        async move { Ok(none_if_absent(self.head(key).await)?.is_some()) }
    }

    /// Reads a whole object; `None` when there is none.
    fn get_opt(&self, key: &Key) -> impl Future<Output = StorageResult<Option<Bytes>>> + Send {
        async move { none_if_absent(self.get(key).await) }
    }

    /// Every object whose key starts with `prefix`, in ascending byte order of keys, all in memory.
    fn list_all(&self, prefix: &str) -> impl Future<Output = StorageResult<Vec<ObjectMeta>>> + Send {
        async move { self.list(prefix).try_collect().await }
    }

    /// Removes every object whose key starts with `prefix` (a plain string prefix: end it with `/` to spare its
    /// neighbours), sixteen at a time, and says how many were listed and removed. The first error ends it; what
    /// was removed until then is gone.
    fn delete_prefix(&self, prefix: &str) -> impl Future<Output = StorageResult<usize>> + Send {
        async move {
            self.list(prefix)
                .map_ok(|object| async move { self.delete(&object.key).await })
                .try_buffer_unordered(CONCURRENT_DELETES)
                .try_fold(0, |count, ()| ready(Ok(count + 1)))
                .await
        }
    }
}

impl<T: Storage + ?Sized> StorageExt for T {}

/// Turns [`NotFound`](ErrorClass::NotFound), and nothing else, into `None`.
fn none_if_absent<T>(result: StorageResult<T>) -> StorageResult<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.class() == ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BackendError;
    use crate::storage::MemoryStorage;

    #[tokio::test]
    async fn absence_is_no_error() {
        let storage: &dyn Storage = &MemoryStorage::new();
        let key = Key::new("k").unwrap();
        assert_eq!(storage.get_opt(&key).await.unwrap(), None);
        assert!(!storage.exists(&key).await.unwrap());
        storage.put(&key, Bytes::from_static(b"v")).await.unwrap();
        assert_eq!(storage.get_opt(&key).await.unwrap().unwrap(), "v");
        assert!(storage.exists(&key).await.unwrap());
    }

    #[test]
    fn only_absence_is_a_miss() {
        for class in [ErrorClass::Denied, ErrorClass::Transient, ErrorClass::Misconfigured] {
            let failed: StorageResult<()> = Err(BackendError::new(class, "no"));
            assert_eq!(none_if_absent(failed).unwrap_err().class(), class);
        }
    }

    #[tokio::test]
    async fn a_prefix_is_deleted_and_its_neighbours_are_not() {
        let storage: &dyn Storage = &MemoryStorage::new();
        for name in (0..2_000).map(|i| format!("a/{i}")).chain(["a".into(), "a-b".into(), "b/a/0".into()]) {
            storage.put(&Key::new(name).unwrap(), Bytes::new()).await.unwrap();
        }
        assert_eq!(storage.delete_prefix("a/").await.unwrap(), 2_000);
        let left = storage.list_all("").await.unwrap();
        let left: Vec<_> = left.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(left, ["a", "a-b", "b/a/0"]);
        assert_eq!(storage.delete_prefix("nothing").await.unwrap(), 0);
    }
}

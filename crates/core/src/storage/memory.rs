//! Objects in the memory of this process.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Key, ObjectMeta, PutOutcome, Storage, StorageResult, cut_range};
use crate::error::{BackendError, ErrorClass};

/// How many objects a listing looks at each time it takes the lock.
const PAGE: usize = 1_000;

/// A store in memory, for tests and for jobs whose workers live in this process. Clones share their objects,
/// which are gone with the last clone: of the contract it keeps everything but durability.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<BTreeMap<Key, Object>>>,
}

struct Object {
    data: Bytes,
    modified: SystemTime,
}

impl Object {
    #[expect(clippy::disallowed_methods, reason = "a date for people, as providers give it to objects")]
    fn new(data: Bytes) -> Self {
        Self { data, modified: SystemTime::now() }
    }

    fn meta(&self, key: &Key) -> ObjectMeta {
        ObjectMeta { key: key.clone(), size: self.data.len() as u64, modified: Some(self.modified) }
    }
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The map. Every change is one call that leaves it whole, so a panic elsewhere cannot have left it broken.
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, key: &Key, read: impl FnOnce(&Object) -> StorageResult<T>) -> StorageResult<T> {
        match self.objects().get(key) {
            Some(object) => read(object),
            None => Err(BackendError::new(ErrorClass::NotFound, format!("no object {key} in memory"))),
        }
    }

    /// The first objects after `from` that start with `prefix`.
    fn page(&self, from: Bound<&str>, prefix: &str) -> Vec<ObjectMeta> {
        self.objects()
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .take(PAGE)
            .map(|(key, object)| object.meta(key))
            .collect()
    }
}

impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStorage").field("objects", &self.objects().len()).finish()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn location(&self) -> String {
        "memory://".to_owned()
    }

    fn is_durable(&self) -> bool {
        false
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.objects().insert(key.clone(), Object::new(data));
        Ok(())
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        use std::collections::btree_map::Entry;
        match self.objects().entry(key.clone()) {
            Entry::Occupied(_) => Ok(PutOutcome::Exists),
            Entry::Vacant(place) => {
                place.insert(Object::new(data));
                Ok(PutOutcome::Created)
            }
        }
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.with(key, |object| Ok(object.data.clone()))
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.with(key, |object| {
            let range = cut_range(key, &range, object.data.len() as u64)?;
            // Cut to the length of a slice: both ends fit.
            Ok(object.data.slice(range.start as usize..range.end as usize))
        })
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        self.with(key, |object| Ok(object.meta(key)))
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let first = self.page(Bound::Included(prefix), prefix);
        stream::unfold((first, prefix.to_owned()), move |(page, prefix)| async move {
            let last = page.last()?.key.clone();
            let next = self.page(Bound::Excluded(last.as_str()), &prefix);
            Some((stream::iter(page.into_iter().map(Ok)), (next, prefix)))
        })
        .flatten()
        .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.objects().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn of_racing_threads_one_creates() {
        const THREADS: usize = 16;
        let storage = MemoryStorage::new();
        for round in 0..50 {
            let key = Key::new(format!("round/{round}")).unwrap();
            let start = Barrier::new(THREADS);
            let winners: Vec<usize> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|i| {
                        let (storage, key, start) = (storage.clone(), &key, &start);
                        scope.spawn(move || {
                            start.wait();
                            let mine = Bytes::from(vec![i as u8]);
                            block_on(storage.put_if_absent(key, mine)).unwrap() == PutOutcome::Created
                        })
                    })
                    .collect();
                let won = threads.into_iter().map(|thread| thread.join().unwrap());
                won.enumerate().filter_map(|(i, won)| won.then_some(i)).collect()
            });
            assert_eq!(winners.len(), 1);
            assert_eq!(block_on(storage.get(&key)).unwrap()[..], [winners[0] as u8]);
        }
    }

    #[test]
    fn clones_share_their_objects() {
        let (storage, key) = (MemoryStorage::new(), Key::new("k").unwrap());
        block_on(storage.clone().put(&key, Bytes::from_static(b"v"))).unwrap();
        assert_eq!(block_on(storage.get(&key)).unwrap(), "v");
        assert_eq!(format!("{storage:?}"), "MemoryStorage { objects: 1 }");
    }
}

//! [`ChaosStorage`].

use std::future::ready;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use rustwren_core::clock::Clock;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};

use crate::fate::{StorageFate, Stream, chance};
use crate::plan::StoragePlan;
use crate::tally::{Counter, StorageTally};

/// A storage around another whose operations go wrong as a [`StoragePlan`] says.
///
/// What befalls an operation is decided when it begins, by the seed and by how many came before it.
pub struct ChaosStorage {
    inner: Arc<dyn Storage>,
    plan: StoragePlan,
    clock: Arc<dyn Clock>,
    seed: u64,
    calls: AtomicU64,
    tally: Counter<StorageTally>,
}

impl ChaosStorage {
    /// Wraps a storage.
    pub fn new(inner: Arc<dyn Storage>, plan: StoragePlan, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { inner, plan, clock, seed, calls: AtomicU64::new(0), tally: Counter::default() }
    }

    /// What has gone wrong so far.
    pub fn tally(&self) -> StorageTally {
        self.tally.get()
    }

    fn fate(&self) -> (u64, StorageFate) {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        self.tally.count(|tally| tally.operations += 1);
        (number, StorageFate::draw(&self.plan, chance(self.seed, Stream::Storage, number)))
    }

    fn throttled(&self, what: &str) -> BackendError {
        self.tally.count(|tally| tally.throttled += 1);
        tracing::debug!("chaos: {what}: throttled");
        let class = ErrorClass::Throttled { retry_after: self.plan.retry_after };
        BackendError::new(class, format!("chaos: {what} was throttled"))
    }

    fn transient(&self, what: &str) -> BackendError {
        self.tally.count(|tally| tally.transient += 1);
        tracing::debug!("chaos: {what}: failed");
        BackendError::new(ErrorClass::Transient, format!("chaos: {what} met an error inside the provider"))
    }

    /// An operation that may be slow or not be made. `what` says which, of which object.
    async fn read<T>(
        &self,
        verb: &str,
        key: &Key,
        operation: impl Future<Output = StorageResult<T>>,
    ) -> StorageResult<T> {
        let (number, fate) = self.fate();
        self.attempt(&format!("{verb} {key} (operation {number})"), &fate, operation).await
    }

    /// An operation that may also be made and reported as failed.
    async fn write<T>(
        &self,
        verb: &str,
        key: &Key,
        operation: impl Future<Output = StorageResult<T>>,
    ) -> StorageResult<T> {
        let (number, fate) = self.fate();
        let what = format!("{verb} {key} (operation {number})");
        let done = self.attempt(&what, &fate, operation).await?;
        if !fate.ambiguous {
            return Ok(done);
        }
        self.tally.count(|tally| tally.ambiguous += 1);
        tracing::debug!("chaos: {what}: made, and reported as failed");
        Err(BackendError::new(ErrorClass::Transient, format!("chaos: the answer to {what} was lost")))
    }

    async fn attempt<T>(
        &self,
        what: &str,
        fate: &StorageFate,
        operation: impl Future<Output = StorageResult<T>>,
    ) -> StorageResult<T> {
        if !fate.wait.is_zero() {
            self.tally.count(|tally| tally.slow += 1);
            tracing::debug!("chaos: {what}: slow by {:?}", fate.wait);
            self.clock.sleep(fate.wait).await;
        }
        if fate.throttled {
            return Err(self.throttled(what));
        }
        if fate.transient {
            return Err(self.transient(what));
        }
        operation.await
    }
}

impl std::fmt::Debug for ChaosStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChaosStorage")
            .field("inner", &self.inner)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for ChaosStorage {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.write("put", key, self.inner.put(key, data)).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.write("put_if_absent", key, self.inner.put_if_absent(key, data)).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.read("get", key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.read("get_range", key, self.inner.get_range(key, range)).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        self.read("head", key, self.inner.head(key)).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let prefix = prefix.to_owned();
        let begin = async move {
            let (number, mut fate) = self.fate();
            let what = format!("list {prefix:?} (operation {number})");
            // It may have listed something before it fails.
            let breaks = std::mem::take(&mut fate.transient);
            let after = if breaks { fate.after } else { usize::MAX };
            if let Err(error) = self.attempt(&what, &fate, ready(Ok(()))).await {
                return stream::iter([Err(error)]).boxed();
            }
            let broken = breaks.then(|| Err(self.transient(&what)));
            self.inner.list(&prefix).take(after).chain(stream::iter(broken)).boxed()
        };
        // After an error a listing is over, and nothing is chained to one that the wrapped storage met.
        let over = |ended: &mut bool, object: StorageResult<ObjectMeta>| {
            ready((!std::mem::replace(ended, object.is_err())).then_some(object))
        };
        stream::once(begin).flatten().scan(false, over).boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.write("delete", key, self.inner.delete(key)).await
    }
}

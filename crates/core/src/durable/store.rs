//! A storage that rides out passing trouble, and knows of an ambiguous write whether it was made.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::error::{BackendError, ErrorClass};
use crate::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};

/// How often an operation is tried in all. With the waiting times between them that is about half a minute.
const TRIES: u32 = 12;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// No provider is believed that asks for a longer wait than this.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// What came of writing an object that may be there already.
#[derive(Debug)]
pub(super) enum Created {
    /// It is there, and is ours.
    Ours,
    /// Another one is there.
    Other(Bytes),
    /// There was another one, but it was gone when it was read.
    Vanished,
}

/// What durable jobs are kept in: a storage and a clock. Its operations are tried again after passing trouble, for about
/// half a minute. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.storage).finish()
    }
}

impl Store {
    /// A store in this storage, which waits by this clock.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, clock }
    }

    /// The storage itself.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Waits before another try after `error`; `false` when it is not worth another.
    pub(super) async fn again(&self, tries: &mut u32, error: &BackendError) -> bool {
        *tries += 1;
        if !error.class().is_retryable() || *tries >= TRIES {
            return false;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << (*tries - 1).min(16)).min(LONGEST_WAIT);
        let wait = match error.class() {
            ErrorClass::Throttled { retry_after: Some(asked) } => wait.max(asked.min(LONGEST_ASKED)),
            _ => wait,
        };
        tracing::debug!(%error, ?wait, "storage is tried again");
        self.clock.sleep(wait).await;
        true
    }

    /// Writes an object, in the place of one that is there.
    pub async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        let mut tries = 0;
        loop {
            match self.storage.put(key, data.clone()).await {
                Err(error) if self.again(&mut tries, &error).await => {}
                done => return done,
            }
        }
    }

    /// Writes an object unless one is there. `data` must hold something that no other writer writes, so that an
    /// object that is there after a lost reply can be recognised as this call's.
    pub(super) async fn create(&self, key: &Key, data: Bytes) -> StorageResult<Created> {
        let mut tries = 0;
        loop {
            match self.storage.put_if_absent(key, data.clone()).await {
                Ok(PutOutcome::Created) => return Ok(Created::Ours),
                Ok(PutOutcome::Exists) => break,
                Err(error) if self.again(&mut tries, &error).await => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match self.get_opt(key).await? {
            Some(found) if found == data => Created::Ours,
            Some(found) => Created::Other(found),
            None => Created::Vanished,
        })
    }

    pub(super) async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        let mut tries = 0;
        loop {
            match self.storage.get(key).await {
                Err(error) if self.again(&mut tries, &error).await => {}
                done => return done,
            }
        }
    }

    /// Reads an object; `None` when there is none.
    pub(super) async fn get_opt(&self, key: &Key) -> StorageResult<Option<Bytes>> {
        absent_as_none(self.get(key).await)
    }

    pub(super) async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let mut tries = 0;
        loop {
            match self.storage.get_range(key, range.clone()).await {
                Err(error) if self.again(&mut tries, &error).await => {}
                done => return done,
            }
        }
    }

    /// What is known of an object; `None` when there is none.
    pub async fn head_opt(&self, key: &Key) -> StorageResult<Option<ObjectMeta>> {
        let mut tries = 0;
        loop {
            match self.storage.head(key).await {
                Err(error) if self.again(&mut tries, &error).await => {}
                done => return absent_as_none(done),
            }
        }
    }

    /// Removes an object, if it is there.
    pub async fn delete(&self, key: &Key) -> StorageResult<()> {
        let mut tries = 0;
        loop {
            match self.storage.delete(key).await {
                Err(error) if self.again(&mut tries, &error).await => {}
                done => return done,
            }
        }
    }

    /// Every object whose key starts with `prefix`, in ascending order.
    pub(super) async fn list(&self, prefix: &str) -> StorageResult<Vec<ObjectMeta>> {
        use futures_util::TryStreamExt as _;
        let mut tries = 0;
        loop {
            match self.storage.list(prefix).try_collect().await {
                Err(error) if self.again(&mut tries, &error).await => {}
                done => return done,
            }
        }
    }
}

pub(super) fn absent_as_none<T>(result: StorageResult<T>) -> StorageResult<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.class() == ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

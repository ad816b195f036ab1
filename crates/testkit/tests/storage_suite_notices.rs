//! The storage suite fails for storages that break the contract, each in one way.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{
    Key, MemoryStorage, ObjectMeta, PutOutcome, Storage, StorageExt, StorageResult,
};
use rustwren_testkit::storage_suite::{Gap, run_all};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A check and then a write, with room for others in between.
    RacyCreate,
    CreateReplaces,
    /// The first half of an object shows before the second.
    WritesInParts,
    LosesEmptyObjects,
    AbsenceIsTransient,
    DeleteOfNothingFails,
    DeleteTakesWhatIsBelow,
    RangesAreNotCut,
    RangeAfterTheEndIsEmpty,
    ListsOnePage,
    ListsUnsorted,
    ListsWholePartsOnly,
    FoldsCase,
    LosesTrailingDots,
    CutsLongKeys,
    HeadLies,
}

/// A storage in memory with one fault.
#[derive(Debug)]
struct Faulty {
    inner: MemoryStorage,
    fault: Fault,
}

impl Faulty {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, key: &Key) -> Key {
        let name = key.as_str();
        let name = match self.fault {
            Fault::FoldsCase => name.to_lowercase(),
            Fault::LosesTrailingDots => name.trim_end_matches('.').to_owned(),
            Fault::CutsLongKeys => name.chars().take(255).collect(),
            _ => name.to_owned(),
        };
        Key::new(name).unwrap_or_else(|_| key.clone())
    }
}

#[async_trait]
impl Storage for Faulty {
    fn location(&self) -> String {
        format!("{:?}", self.fault)
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        if self.is(Fault::LosesEmptyObjects) && data.is_empty() {
            return Ok(());
        }
        if self.is(Fault::WritesInParts) {
            self.inner.put(key, data.slice(..data.len() / 2)).await?;
            tokio::task::yield_now().await;
        }
        self.inner.put(&self.key(key), data).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        if self.is(Fault::RacyCreate) {
            if self.inner.exists(key).await? {
                return Ok(PutOutcome::Exists);
            }
            tokio::task::yield_now().await;
            self.inner.put(key, data).await?;
            return Ok(PutOutcome::Created);
        }
        if self.is(Fault::CreateReplaces) && self.inner.exists(key).await? {
            self.inner.put(key, data).await?;
            return Ok(PutOutcome::Exists);
        }
        self.inner.put_if_absent(&self.key(key), data).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.inner.get(&self.key(key)).await.map_err(|error| match self.fault {
            Fault::AbsenceIsTransient => BackendError::new(ErrorClass::Transient, "reset"),
            _ => error,
        })
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let size = self.inner.head(&self.key(key)).await?.size;
        if self.is(Fault::RangesAreNotCut) && range.end > size {
            return Err(BackendError::new(ErrorClass::Invalid, "range ends after the object"));
        }
        if self.is(Fault::RangeAfterTheEndIsEmpty) && range.start > size {
            return Ok(Bytes::new());
        }
        self.inner.get_range(&self.key(key), range).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let mut meta = self.inner.head(&self.key(key)).await?;
        meta.size += u64::from(self.is(Fault::HeadLies));
        Ok(meta)
    }

    #[expect(clippy::expect_used, reason = "a test's storage")]
    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let listed = self.inner.list(prefix);
        match self.fault {
            Fault::ListsOnePage => listed.take(1_000).boxed(),
            Fault::ListsUnsorted => {
                let mut all: Vec<_> = listed.collect().now_or_never().expect("memory is always ready");
                all.reverse();
                stream::iter(all).boxed()
            }
            Fault::ListsWholePartsOnly => {
                let prefix = prefix.trim_end_matches('/').to_owned();
                let whole = move |meta: &StorageResult<ObjectMeta>| {
                    let name = meta.as_ref().expect("memory does not fail").key.as_str();
                    name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                listed.filter(move |meta| std::future::ready(whole(meta))).boxed()
            }
            _ => listed,
        }
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        if self.is(Fault::DeleteOfNothingFails) {
            self.inner.head(key).await?;
        }
        if self.is(Fault::DeleteTakesWhatIsBelow) {
            self.inner.delete_prefix(&format!("{key}/")).await?;
        }
        self.inner.delete(&self.key(key)).await
    }
}

/// What the suite says about a storage with this fault, if anything.
async fn verdict(fault: Fault, gaps: &[Gap]) -> Option<String> {
    let storage = Faulty { inner: MemoryStorage::new(), fault };
    let run = AssertUnwindSafe(run_all(Arc::new(storage), gaps)).catch_unwind().await;
    run.err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[tokio::test]
async fn every_fault_is_noticed_by_the_check_for_it() {
    assert_eq!(verdict(Fault::None, &[]).await, None);
    for (fault, check) in [
        (Fault::RacyCreate, "one_writer_creates"),
        (Fault::CreateReplaces, "put_if_absent_keeps"),
        (Fault::WritesInParts, "readers_see_whole_versions"),
        (Fault::LosesEmptyObjects, "objects_come_back"),
        (Fault::AbsenceIsTransient, "absence_is_not_found"),
        (Fault::DeleteOfNothingFails, "deleting_is_idempotent"),
        (Fault::DeleteTakesWhatIsBelow, "key_and_key_below_it"),
        (Fault::RangesAreNotCut, "ranges"),
        (Fault::RangeAfterTheEndIsEmpty, "agrees_with_a_map"),
        (Fault::ListsOnePage, "long_listings"),
        (Fault::ListsUnsorted, "listing_is_in_byte_order"),
        (Fault::ListsWholePartsOnly, "listing_is_by_string_prefix"),
        (Fault::FoldsCase, "any_valid_key_works"),
        (Fault::LosesTrailingDots, "any_valid_key_works"),
        (Fault::CutsLongKeys, "long_keys_work"),
        (Fault::HeadLies, "metadata_is_that_of_the_object"),
    ] {
        let verdict = verdict(fault, &[]).await;
        assert!(verdict.as_ref().is_some_and(|said| said.contains(check)), "{fault:?}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_declared_gap_is_left_out_and_must_name_a_check() {
    let reason = "it lists one page";
    let gap = |check| Gap { check, reason };
    assert_eq!(verdict(Fault::ListsOnePage, &[gap("long_listings")]).await, None);
    let unknown = verdict(Fault::None, &[gap("long_listing")]).await;
    assert!(unknown.is_some_and(|said| said.contains("there is no check")));
}

//! Each fault of storage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use rustwren_chaos::{ChaosStorage, Delay, StoragePlan, StorageTally};
use rustwren_core::clock::Clock;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{Key, MemoryStorage, PutOutcome, Storage, StorageExt, StorageResult};
use rustwren_testkit::sim::{SimClock, SimExecutor};

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// Has `with` work with a storage over `inner`, and says how long that took and what went wrong.
fn over<T, F: Future<Output = T>>(
    inner: &MemoryStorage,
    plan: StoragePlan,
    seed: u64,
    with: impl FnOnce(Arc<ChaosStorage>) -> F,
) -> (T, Duration, StorageTally) {
    let clock = SimClock::new();
    let storage = ChaosStorage::new(Arc::new(inner.clone()), plan, Arc::new(clock.clone()), seed);
    let storage = Arc::new(storage);
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let output = executor.block_on(with(Arc::clone(&storage))).unwrap();
    (output, clock.now(), storage.tally())
}

fn class<T>(result: StorageResult<T>) -> Option<ErrorClass> {
    result.err().map(|error| error.class())
}

/// What became of one operation of each kind.
async fn every_operation(storage: Arc<ChaosStorage>) -> Vec<Option<ErrorClass>> {
    let data = Bytes::from_static(b"new");
    vec![
        class(storage.put(&key("a"), data.clone()).await),
        class(storage.put_if_absent(&key("b"), data).await),
        class(storage.get(&key("c")).await),
        class(storage.get_range(&key("c"), 0..1).await),
        class(storage.head(&key("c")).await),
        class(storage.delete(&key("d")).await),
        class(storage.list_all("").await),
    ]
}

/// `c` and `d` exist.
async fn filled() -> MemoryStorage {
    let storage = MemoryStorage::new();
    for name in ["c", "d"] {
        storage.put(&key(name), Bytes::from_static(b"old")).await.unwrap();
    }
    storage
}

async fn names(storage: &MemoryStorage) -> Vec<String> {
    storage.list_all("").await.unwrap().into_iter().map(|object| object.key.to_string()).collect()
}

#[tokio::test]
async fn an_operation_that_is_not_made_changes_nothing() {
    for (plan, expected) in [
        (StoragePlan { transient: 1.0, ..StoragePlan::calm() }, ErrorClass::Transient),
        (
            StoragePlan { throttled: 1.0, retry_after: Some(Duration::from_secs(2)), ..StoragePlan::calm() },
            ErrorClass::Throttled { retry_after: Some(Duration::from_secs(2)) },
        ),
    ] {
        let inner = filled().await;
        let (outcomes, took, tally) = over(&inner, plan, 1, every_operation);
        assert_eq!(outcomes, [Some(expected); 7]);
        assert_eq!(names(&inner).await, ["c", "d"]);
        assert_eq!((took, tally.transient + tally.throttled, tally.operations), (Duration::ZERO, 7, 7));
    }
}

#[tokio::test]
async fn an_ambiguous_write_is_made_and_reads_are_not_concerned() {
    let inner = filled().await;
    let plan = StoragePlan { ambiguous: 1.0, ..StoragePlan::calm() };
    let (outcomes, _, tally) = over(&inner, plan.clone(), 1, every_operation);
    let lost = Some(ErrorClass::Transient);
    assert_eq!(outcomes, [lost, lost, None, None, None, lost, None]);
    assert_eq!(names(&inner).await, ["a", "b", "c"]);
    assert_eq!(tally.ambiguous, 3);
    // Whoever tries again finds its own object.
    let calm = StoragePlan::calm();
    let (again, ..) = over(&inner, calm, 1, |storage| async move {
        storage.put_if_absent(&key("b"), Bytes::from_static(b"new")).await
    });
    assert_eq!(again.unwrap(), PutOutcome::Exists);
}

#[tokio::test]
async fn slow_operations_take_their_time() {
    let inner = filled().await;
    let slow_by = Delay::Uniform(Duration::from_secs(3), Duration::from_secs(3));
    let plan = StoragePlan { slow: 1.0, slow_by, ..StoragePlan::calm() };
    let (outcomes, took, tally) = over(&inner, plan, 1, every_operation);
    assert_eq!(outcomes, [None; 7]);
    assert_eq!((took, tally.slow), (Duration::from_secs(21), 7));
}

#[tokio::test]
async fn a_listing_breaks_half_way_and_is_over_then() {
    let inner = MemoryStorage::new();
    for i in 0..1_000 {
        inner.put(&key(&format!("{i:03}")), Bytes::new()).await.unwrap();
    }
    let mut lengths = Vec::new();
    for seed in 0..40 {
        let plan = StoragePlan { transient: 1.0, ..StoragePlan::calm() };
        let (listed, ..) =
            over(&inner, plan, seed, |storage| async move { storage.list("").collect::<Vec<_>>().await });
        let (error, good) = listed.split_last().unwrap();
        assert_eq!(error.as_ref().unwrap_err().class(), ErrorClass::Transient);
        for (i, object) in good.iter().enumerate() {
            assert_eq!(object.as_ref().unwrap().key.as_str(), format!("{i:03}"));
        }
        lengths.push(good.len());
    }
    assert!(lengths.contains(&0) && lengths.iter().any(|length| *length > 300), "{lengths:?}");
}

#[tokio::test]
async fn the_same_seed_and_order_of_operations_give_the_same_run() {
    let run = |seed| {
        let inner = MemoryStorage::new();
        over(&inner, StoragePlan::flaky(), seed, |storage| async move {
            let mut outcomes = Vec::new();
            for _ in 0..50 {
                outcomes.extend(every_operation(Arc::clone(&storage)).await);
            }
            outcomes
        })
    };
    let (outcomes, took, tally) = run(5);
    assert_eq!((outcomes, took, tally), run(5));
    let (_, other, _) = run(6);
    assert_ne!(took, other);
    assert!(
        [tally.slow, tally.throttled, tally.transient, tally.ambiguous].iter().all(|count| *count > 0),
        "{tally:?}"
    );
}

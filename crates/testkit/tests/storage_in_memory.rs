//! The storages of the core keep the contract.

use std::sync::Arc;

use rustwren_core::storage::{Key, MemoryStorage, PrefixedStorage};
use rustwren_testkit::storage_suite::{Gap, run_all};

#[tokio::test]
async fn memory_keeps_the_contract() {
    run_all(Arc::new(MemoryStorage::new()), &[]).await;
}

#[tokio::test]
async fn a_part_of_memory_keeps_the_contract() {
    let part = PrefixedStorage::new(Arc::new(MemoryStorage::new()), &Key::new("users/%/1").unwrap());
    let gaps = [Gap { check: "long_keys_work", reason: "the prefix takes room from the longest keys" }];
    run_all(Arc::new(part), &gaps).await;
}

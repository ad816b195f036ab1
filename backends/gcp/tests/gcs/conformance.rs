//! The contract of storages.

use std::sync::Arc;

use rustwren_core::storage::Storage as _;
use rustwren_gcp::GcsStorage;
use rustwren_testkit::storage_suite::{self, run_all};

use crate::place::{Scene, config};

#[tokio::test]
async fn gcs_keeps_the_contract() {
    let scene = Scene::quiet().await;
    run_all(Arc::new(scene.storage), &[]).await;
    assert_eq!(scene.gcs.unfinished_uploads(), 0);
}

/// What depends on where the objects lie, and on how large a part is.
#[tokio::test]
async fn at_the_root_of_a_bucket_with_parts_as_by_default() {
    let scene = Scene::quiet().await;
    let mut config = config(scene.gcs.endpoint(), scene.bucket.clone());
    config.prefix = None;
    config.parts.size = 8 << 20;
    let storage = GcsStorage::open(&config).await.unwrap();
    storage_suite::objects_come_back(&storage).await;
    storage_suite::listing_is_by_string_prefix(&storage).await;
    storage_suite::put_if_absent_keeps(&storage).await;
    assert_eq!(storage.location(), format!("gs://{}", scene.bucket));
}

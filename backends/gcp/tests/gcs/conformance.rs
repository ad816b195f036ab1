//! The contract of storages.

use std::sync::Arc;

use rustwren_gcp::GcsStorage;
use rustwren_testkit::storage_suite::run_all;

use crate::place::{Scene, config};

#[tokio::test]
async fn gcs_keeps_the_contract() {
    let scene = Scene::quiet().await;
    run_all(Arc::new(scene.storage), &[]).await;
    assert_eq!(scene.gcs.unfinished_uploads(), 0);
}

#[tokio::test]
async fn at_the_root_of_a_bucket_with_parts_as_by_default() {
    let scene = Scene::quiet().await;
    let mut config = config(scene.gcs.endpoint(), scene.bucket.clone());
    config.prefix = None;
    config.part_size = 8 << 20;
    let storage = GcsStorage::open(&config).await.unwrap();
    run_all(Arc::new(storage), &[]).await;
}

//! The contract of storages.

use std::sync::Arc;

use rustwren_testkit::standins::Moto;
use rustwren_testkit::storage_suite::run_all;

use crate::place;

#[tokio::test]
async fn s3_keeps_the_contract() {
    let moto = Moto::start();
    run_all(Arc::new(place::storage(&moto).await), &[]).await;
}

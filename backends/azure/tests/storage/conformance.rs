//! The contract of storages.

use std::sync::Arc;

use rustwren_azure::BlobStorage;
use rustwren_azure::client::Credentials;
use rustwren_testkit::standins::Azurite;
use rustwren_testkit::storage_suite::run_all;

use crate::place;

#[tokio::test]
async fn blob_storage_keeps_the_contract_with_a_key_and_with_a_signature() {
    let azurite = Azurite::start();
    run_all(Arc::new(place::storage(&azurite)), &[]).await;

    let mut config = place::config(&place::address(&azurite), azurite.new_container());
    // As portals show it.
    let sas = format!("?{}", azurite.sas("2125-01-01T00:00:00Z"));
    config.access = place::access(azurite.blob_endpoint(), Credentials::Sas(sas));
    config.prefix = None;
    place::essentials(&BlobStorage::open(&config).unwrap()).await;
}

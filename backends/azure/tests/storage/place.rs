//! Storages in containers of their own.

use rustwren_azure::BlobStorage;
use rustwren_azure::client::{Access, Credentials};
use rustwren_azure::config::StorageConfig;
use rustwren_core::storage::remote::Parts;
use rustwren_core::storage::{Key, Storage};
use rustwren_testkit::standins::Azurite;
use rustwren_testkit::storage_suite::{
    absence_is_not_found, any_valid_key_works, deleting_is_idempotent, listing_is_by_string_prefix,
    long_keys_work, objects_come_back, put_if_absent_keeps, ranges,
};

/// A configuration for a container behind this address, `http://127.0.0.1:port`.
pub(crate) fn config(address: &str, container: String) -> StorageConfig {
    StorageConfig {
        access: access(Azurite::endpoint_of(address), Credentials::Key(Azurite::KEY.to_owned())),
        container,
        prefix: Some(Key::new("a prefix/of ours").unwrap()),
        parts: Parts { size: 2 << 20, parallel: 4 },
    }
}

/// The account at this endpoint, as whoever has these credentials.
pub(crate) fn access(endpoint: String, credentials: Credentials) -> Access {
    Access { endpoint: Some(endpoint), credentials: Some(credentials), ..Access::default() }
}

/// `http://127.0.0.1:port`
pub(crate) fn address(azurite: &Azurite) -> String {
    format!("http://{}", azurite.blob_address())
}

/// A storage in a new container.
pub(crate) fn storage(azurite: &Azurite) -> BlobStorage {
    BlobStorage::open(&config(&address(azurite), azurite.new_container())).unwrap()
}

/// What of the contract depends on who signs a request and how: every kind of request, with every kind of name. The
/// rest, which takes thousands of requests and a minute, is tried with a key; all of it held with each of them on 29
/// November 2026.
pub(crate) async fn essentials(storage: &dyn Storage) {
    objects_come_back(storage).await;
    absence_is_not_found(storage).await;
    ranges(storage).await;
    put_if_absent_keeps(storage).await;
    deleting_is_idempotent(storage).await;
    any_valid_key_works(storage).await;
    long_keys_work(storage).await;
    listing_is_by_string_prefix(storage).await;
}

//! Storages in containers of their own.

use rustwren_azure::BlobStorage;
use rustwren_azure::client::{Access, Credentials};
use rustwren_azure::config::StorageConfig;
use rustwren_core::storage::Key;
use rustwren_core::storage::remote::Parts;
use rustwren_testkit::standins::Azurite;

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

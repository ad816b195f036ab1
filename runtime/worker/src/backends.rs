//! The storages that are compiled in.

use rustwren_core::config::Registry;
use rustwren_core::storage::MemoryStorageFactory;

use crate::config::KEYS;

/// All of them, the keys of the runtime itself, and those of clients that are told to it as well.
pub fn compiled_in() -> Registry {
    let registry = Registry::new()
        .storage(MemoryStorageFactory)
        .storage(rustwren_directory::DirectoryStorageFactory)
        .storage(rustwren_http::HttpStorageFactory)
        .declare(KEYS);
    #[cfg(feature = "aws")]
    let registry = registry.storage(rustwren_aws::S3StorageFactory).declare(rustwren_aws::config::COMPUTE);
    #[cfg(feature = "gcp")]
    let registry = registry.storage(rustwren_gcp::GcsStorageFactory);
    #[cfg(feature = "azure")]
    let registry = registry.storage(rustwren_azure::BlobStorageFactory);
    registry
}

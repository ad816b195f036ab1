//! The storage that workers can reach, and what else they read of a configuration.

use rustwren_core::config::Registry;

/// All that are compiled in, by name.
pub(crate) fn compiled_in() -> Registry {
    let registry = Registry::new().storage(rustwren_directory::DirectoryStorageFactory);
    #[cfg(feature = "lambda")]
    let registry = registry.storage(rustwren_aws::S3StorageFactory).declare(rustwren_aws::config::COMPUTE);
    registry
}

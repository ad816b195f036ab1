//! Azure as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, Settings, StorageFactory};
use rustwren_core::error::Result;
use rustwren_core::storage::Storage;

use crate::config::{STORAGE, StorageConfig};
use crate::storage::BlobStorage;

/// `[storage] backend = "azure"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobStorageFactory;

#[async_trait]
impl StorageFactory for BlobStorageFactory {
    fn keys(&self) -> BackendKeys {
        STORAGE
    }

    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(BlobStorage::open(&StorageConfig::from_settings(settings)?)?))
    }
}

//! Google Cloud as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, Settings, StorageFactory};
use rustwren_core::error::Result;
use rustwren_core::storage::Storage;

use crate::config::{STORAGE, StorageConfig};
use crate::storage::GcsStorage;

/// `[storage] backend = "gcp"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcsStorageFactory;

#[async_trait]
impl StorageFactory for GcsStorageFactory {
    fn keys(&self) -> BackendKeys {
        STORAGE
    }

    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        let config = StorageConfig::from_settings(settings)?;
        Ok(Arc::new(GcsStorage::open(&config).await?))
    }
}

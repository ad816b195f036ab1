//! AWS as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, Settings, StorageFactory};
use rustwren_core::error::Result;
use rustwren_core::storage::Storage;

use crate::client::no_region;
use crate::config::{STORAGE, StorageConfig};
use crate::storage::S3Storage;

/// `[storage] backend = "aws"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct S3StorageFactory;

#[async_trait]
impl StorageFactory for S3StorageFactory {
    fn keys(&self) -> BackendKeys {
        STORAGE
    }

    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        let config = StorageConfig::from_settings(settings)?;
        let storage = S3Storage::open(&config).await.ok_or_else(|| no_region(settings))?;
        Ok(Arc::new(storage))
    }
}

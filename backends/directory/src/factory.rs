//! Directory storage as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, Settings, StorageFactory};
use rustwren_core::error::Result;
use rustwren_core::storage::Storage;

use crate::LazyDirectory;
use crate::config::{STORAGE, storage_root};

/// `[storage] backend = "local"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectoryStorageFactory;

#[async_trait]
impl StorageFactory for DirectoryStorageFactory {
    fn keys(&self) -> BackendKeys {
        STORAGE
    }

    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(LazyDirectory::new(storage_root(settings)?)))
    }
}

//! `[storage] backend = "memory"`.

use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryStorage, Storage};
use crate::config::{BackendKeys, Section, Settings, StorageFactory};
use crate::error::Result;

/// Makes a [`MemoryStorage`]: gone with the program, and seen by no other process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStorageFactory;

#[async_trait]
impl StorageFactory for MemoryStorageFactory {
    fn keys(&self) -> BackendKeys {
        BackendKeys {
            name: "memory",
            section: Section::Storage,
            keys: &[],
        }
    }

    async fn build(&self, _settings: &Settings) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(MemoryStorage::new()))
    }
}

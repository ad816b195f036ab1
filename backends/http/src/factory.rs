//! HTTP workers and storage as a configuration chooses them.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, InvokerFactory, Settings, StorageFactory};
use rustwren_core::error::Result;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use crate::client::Client;
use crate::config::{COMPUTE, ComputeConfig, STORAGE, client, timeout};
use crate::{HttpInvoker, HttpStorage};

/// `[storage] backend = "http"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HttpStorageFactory;

#[async_trait]
impl StorageFactory for HttpStorageFactory {
    fn keys(&self) -> BackendKeys {
        STORAGE
    }

    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(HttpStorage::new(Client::new(&client(settings)?)?, timeout(settings)?)))
    }
}

/// `[compute] backend = "http"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HttpInvokerFactory;

#[async_trait]
impl InvokerFactory for HttpInvokerFactory {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn build(&self, settings: &Settings, _storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        Ok(Arc::new(HttpInvoker::new(&ComputeConfig::from_settings(settings)?)?))
    }
}

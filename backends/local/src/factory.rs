//! The local backend as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, InvokerFactory, Settings};
use rustwren_core::error::Result;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use crate::config::{COMPUTE, ComputeConfig};
use crate::{LocalInvoker, LocalOptions};

/// `[compute] backend = "local"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalInvokerFactory;

#[async_trait]
impl InvokerFactory for LocalInvokerFactory {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn build(&self, settings: &Settings, storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        let config = ComputeConfig::from_settings(settings)?;
        Ok(Arc::new(LocalInvoker::new(LocalOptions::from_config(config, settings, storage)?)))
    }
}

//! Cloud Run as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, InvokerFactory, Settings};
use rustwren_core::error::Result;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use super::CloudRunInvoker;
use crate::config::functions::{COMPUTE, ComputeConfig};

/// `[compute] backend = "gcp"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloudRunInvokerFactory;

#[async_trait]
impl InvokerFactory for CloudRunInvokerFactory {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn build(&self, settings: &Settings, _storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        Ok(Arc::new(CloudRunInvoker::new(&ComputeConfig::from_settings(settings)?)?))
    }
}

//! A function app as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, InvokerFactory, Settings};
use rustwren_core::error::Result;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use super::FunctionsInvoker;
use crate::config::{COMPUTE, ComputeConfig};

/// `[compute] backend = "azure"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FunctionsInvokerFactory;

#[async_trait]
impl InvokerFactory for FunctionsInvokerFactory {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn build(&self, settings: &Settings, storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        Ok(Arc::new(FunctionsInvoker::new(&ComputeConfig::from_settings(settings)?, storage)?))
    }
}

//! Lambda as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, InvokerFactory, Settings};
use rustwren_core::error::Result;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use super::LambdaInvoker;
use crate::config::{COMPUTE, ComputeConfig};

/// `[compute] backend = "aws"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LambdaInvokerFactory;

#[async_trait]
impl InvokerFactory for LambdaInvokerFactory {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn build(&self, settings: &Settings, storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        Ok(Arc::new(LambdaInvoker::new(ComputeConfig::from_settings(settings)?, storage)))
    }
}

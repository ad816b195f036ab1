//! Chaos as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::clock::TokioClock;
use rustwren_core::config::{BackendKeys, InvokerWrapper, Settings, StorageWrapper};
use rustwren_core::error::Result;
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use crate::config::{COMPUTE, STORAGE, chaos_plan, storage_plan};
use crate::{ChaosInvoker, ChaosStorage};

/// `[storage] backend = "chaos"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChaosStorageWrapper;

#[async_trait]
impl StorageWrapper for ChaosStorageWrapper {
    fn keys(&self) -> BackendKeys {
        STORAGE
    }

    async fn wrap(&self, settings: &Settings, inner: Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        let (seed, plan) = storage_plan(settings)?;
        Ok(Arc::new(ChaosStorage::new(inner, plan, Arc::new(TokioClock::new()), seed)))
    }
}

/// `[compute] backend = "chaos"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChaosInvokerWrapper;

#[async_trait]
impl InvokerWrapper for ChaosInvokerWrapper {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn wrap(&self, settings: &Settings, inner: Arc<dyn Invoker>) -> Result<Arc<dyn Invoker>> {
        let (seed, plan) = chaos_plan(settings)?;
        Ok(Arc::new(ChaosInvoker::new(inner, plan, Arc::new(TokioClock::new()), seed)))
    }
}

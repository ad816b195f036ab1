//! Backends that stand around others.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BackendKeys, Settings};
use crate::error::Result;
use crate::invoker::Invoker;
use crate::storage::Storage;

/// Puts something around a storage, as a configuration says.
#[async_trait]
pub trait StorageWrapper: Send + Sync + 'static {
    /// The wrapper's name and its own keys in `[storage]`, [`WRAPS`](super::WRAPS) among them.
    fn keys(&self) -> BackendKeys;

    /// Wraps what was made from the settings of the wrapped backend.
    async fn wrap(&self, settings: &Settings, inner: Arc<dyn Storage>) -> Result<Arc<dyn Storage>>;
}

/// Puts something around an invoker, as a configuration says.
#[async_trait]
pub trait InvokerWrapper: Send + Sync + 'static {
    /// The wrapper's name and its own keys in `[compute]`, [`WRAPS`](super::WRAPS) among them.
    fn keys(&self) -> BackendKeys;

    /// Wraps what was made from the settings of the wrapped backend.
    async fn wrap(&self, settings: &Settings, inner: Arc<dyn Invoker>) -> Result<Arc<dyn Invoker>>;
}

//! RustWren on Azure: Blob storage, storage queues, and workers in Azure Functions.

pub mod client;
pub mod config;
pub(crate) mod error;
mod factory;
mod invoker;
#[cfg(feature = "provision")]
pub mod provision;
pub mod queue;
mod storage;
mod tries;

pub use factory::BlobStorageFactory;
pub use invoker::{FunctionsInvoker, FunctionsInvokerFactory};
pub use storage::BlobStorage;

//! RustWren on Azure: Blob storage and storage queues.

pub mod client;
pub mod config;
pub(crate) mod error;
mod factory;
pub mod queue;
mod storage;
mod tries;

pub use factory::BlobStorageFactory;
pub use storage::BlobStorage;

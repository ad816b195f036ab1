//! RustWren on Google Cloud: Cloud Storage, and workers in Cloud Run and its functions.

pub mod client;
pub mod config;
pub(crate) mod error;
mod factory;
pub mod storage;

pub use factory::GcsStorageFactory;
pub use storage::GcsStorage;

//! `RustWren` on AWS: S3 storage, Lambda workers and what sets them up.

pub mod client;
pub mod config;
pub(crate) mod error;
mod factory;
mod storage;

pub use factory::S3StorageFactory;
pub use storage::S3Storage;

//! RustWren on AWS: S3 storage, Lambda workers and what sets them up.

pub mod client;
pub mod config;
pub(crate) mod error;
mod factory;
#[cfg(feature = "compute")]
mod files;
#[cfg(feature = "compute")]
mod invoker;
#[cfg(feature = "provision")]
pub mod provision;
mod storage;

pub use factory::S3StorageFactory;
#[cfg(feature = "compute")]
pub use invoker::{LambdaInvoker, LambdaInvokerFactory};
pub use storage::S3Storage;

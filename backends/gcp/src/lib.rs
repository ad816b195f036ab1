//! RustWren on Google Cloud: Cloud Storage, and workers in Cloud Run and its functions.

pub mod config;
pub(crate) mod error;
pub mod invoker;
pub mod storage;
mod token;

pub use invoker::CloudRunInvokerFactory;

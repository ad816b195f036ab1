//! RustWren on Google Cloud: Cloud Storage, and workers in Cloud Run and its functions.

pub mod client;
pub mod config;
pub(crate) mod error;
mod factory;
pub mod invoker;
#[cfg(feature = "provision")]
pub mod provision;
#[cfg_attr(not(feature = "provision"), expect(dead_code, reason = "some of it is called by setup alone"))]
mod refusal;
#[cfg_attr(not(feature = "provision"), expect(dead_code, reason = "most of it is called by setup alone"))]
mod rest;
pub mod storage;
mod token;

pub use factory::GcsStorageFactory;
pub use invoker::CloudRunInvokerFactory;
pub use storage::GcsStorage;

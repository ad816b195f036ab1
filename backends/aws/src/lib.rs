//! RustWren on AWS: S3 storage, Lambda workers and what sets them up.

pub mod client;
pub mod config;
pub(crate) mod error;
#[cfg(feature = "provision")]
pub mod provision;

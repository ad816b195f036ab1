//! RustWren on AWS: S3 storage, Lambda workers and what sets them up.

#[cfg(feature = "provision")]
pub mod provision;

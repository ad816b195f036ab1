//! RustWren on Google Cloud: Cloud Storage, and workers in Cloud Run and its functions.

pub mod config;
pub(crate) mod error;
pub mod storage;

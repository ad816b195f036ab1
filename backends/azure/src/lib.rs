//! RustWren on Azure: Blob storage and storage queues.

pub mod client;
pub mod config;

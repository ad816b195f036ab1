//! RustWren on this machine: directory storage, and function processes beside the client.

pub mod config;
mod storage;

pub use storage::DirectoryStorage;

//! Storage in a directory: objects as files, for any number of processes of one machine or of a network file system.
//!
//! In a configuration it is `[storage] backend = "local"`.

pub mod config;
mod factory;
mod lazy;
mod storage;

pub use factory::DirectoryStorageFactory;
pub use lazy::LazyDirectory;
pub use storage::DirectoryStorage;

//! RustWren on this machine: directory storage, and function processes beside the client.

pub mod config;
mod factory;
mod invoker;
mod lazy;
mod storage;

pub use factory::{DirectoryStorageFactory, LocalInvokerFactory};
pub use invoker::{LocalInvoker, LocalOptions};
pub use lazy::LazyDirectory;
pub use storage::DirectoryStorage;

//! RustWren on this machine: directory storage, and function processes beside the client.

pub mod agent;
pub mod config;
mod detach;
mod factory;
mod invoker;
mod lazy;
mod order;
mod storage;

pub use factory::{DirectoryStorageFactory, LocalInvokerFactory};
pub use invoker::{LocalInvoker, LocalOptions};
pub use lazy::LazyDirectory;
pub use storage::DirectoryStorage;

//! RustWren on this machine: function processes beside the client, and directory storage
//! ([`rustwren_directory`]).

pub mod agent;
pub mod config;
mod detach;
mod factory;
mod invoker;
mod order;

pub use factory::LocalInvokerFactory;
pub use invoker::{LocalInvoker, LocalOptions};
pub use rustwren_directory::{DirectoryStorage, DirectoryStorageFactory, LazyDirectory};

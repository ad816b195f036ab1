//! RustWren over HTTP workers: `rustwren-runtime serve` on any fleet behind one URL.
//!
//! [`HttpInvoker`] runs invocations there, and [`HttpStorage`] keeps objects at a runtime that serves its storage, for
//! fleets without a bucket. Calls are signed with a shared secret (`rustwren_core::auth`).

mod client;
pub mod config;
mod factory;
mod invoker;
pub mod provision;
mod refusal;
mod storage;
pub mod tls;

pub use client::{Chain, Client, ClientOptions, Protocol};
pub use factory::{HttpInvokerFactory, HttpStorageFactory};
pub use invoker::{HttpInvoker, HttpOptions};
pub use provision::HttpProvisionerFactory;
pub use storage::HttpStorage;

//! RustWren over HTTP workers: `rustwren-runtime serve` on any fleet behind one URL.
//!
//! [`HttpInvoker`] runs invocations there, and [`HttpStorage`] keeps objects at a runtime that serves its storage, for
//! fleets without a bucket. Calls are signed with a shared secret (`rustwren_core::auth`).
//!
//! Clouds whose workers speak the same over HTTP build on [`Client`] and [`HttpInvoker::over`] with an [`Access`] of
//! their own.

mod access;
mod client;
pub mod config;
mod factory;
mod invoker;
pub mod provision;
mod refusal;
mod storage;
pub mod tls;

pub use access::{Access, Call, Refused, Signed};
pub use client::{Chain, Client, ClientOptions, Protocol};
pub use factory::{HttpInvokerFactory, HttpStorageFactory};
pub use invoker::{HttpInvoker, HttpOptions};
pub use provision::HttpProvisionerFactory;
pub use storage::HttpStorage;

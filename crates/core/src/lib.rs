//! The core of RustWren: executor, scheduler, protocol, program image, storage and invoker traits.
//!
//! Users depend on the `rustwren` crate, which re-exports what they need from here. This crate knows no
//! backend; see `docs/architecture.md`.

pub mod auth;
pub mod clock;
pub mod codec;
pub mod config;
pub mod durable;
pub mod entry;
pub mod env;
pub mod error;
pub mod executor;
pub mod failure;
pub mod image;
pub mod init;
pub mod invoker;
pub mod price;
pub mod protocol;
pub mod provision;
#[expect(unsafe_code, reason = "the one module that needs it; see the safety argument of each file")]
mod raw;
pub mod redact;
pub mod scheduler;
pub mod storage;
pub mod task;
pub mod worker;

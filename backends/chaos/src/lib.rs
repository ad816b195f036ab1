//! Faults on purpose: any compute or storage backend, wrapped so that it misbehaves as clouds do, from a seed.
//!
//! - [`ChaosInvoker`] around any invoker, as a [`ChaosPlan`] says: throttling with a ramp, cold starts, loss, crashes
//!   before and after the work, second runs, stragglers, results out of order and too late.
//! - [`ChaosStorage`] around any storage, as a [`StoragePlan`] says: slow, failing, throttled, and writes that are made
//!   and reported as failed.
//! - [`config`]: both as `backend = "chaos"` in a configuration, with every knob as a key.
//! - [`ramp`]: how fast a provider lets a client grow, by itself.
//!
//! All time comes from a [`Clock`](rustwren_core::clock::Clock) and all chance from a seed, so that it serves users
//! in real time and simulations in simulated time.

mod background;
mod call;
pub mod config;
mod delay;
mod fate;
mod filter;
mod invoker;
mod plan;
pub mod ramp;
mod storage;
mod tally;
mod wrappers;

pub use background::Spawn;
pub use delay::Delay;
pub use invoker::ChaosInvoker;
pub use plan::{ChaosPlan, StoragePlan};
pub use storage::ChaosStorage;
pub use tally::{StorageTally, Tally};
pub use wrappers::{ChaosInvokerWrapper, ChaosStorageWrapper};

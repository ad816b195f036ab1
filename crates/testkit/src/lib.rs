//! Tools for testing `RustWren` and its backends: conformance suites that every backend must pass.
//!
//! These are meant for tests: they panic when what they test is at fault.

mod checks;
pub mod flight;
mod instant;
pub mod invoker_suite;
pub mod least_server;
pub mod provisioner_suite;
pub mod rivals;
pub mod setup;
mod shelf;
pub mod sim;
pub mod standins;
pub mod storage_suite;

pub use instant::InstantInvoker;
pub use shelf::{Shelf, Things};

//! Tools for testing `RustWren` and its backends: conformance suites that every backend must pass.
//!
//! These are meant for tests: they panic when what they test is at fault.

pub mod instant;
pub mod sim;
pub mod storage_suite;

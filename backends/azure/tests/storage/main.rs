//! Blob storage and queues against Azurite, alone and behind a front that makes trouble.
//!
//! All tests share one Azurite, which takes three seconds to start; each has containers of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

mod conformance;
mod faults;
mod place;
mod poison;
mod queue;
mod signatures;
mod tokens;

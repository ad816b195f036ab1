//! Each fault does what it says, the same seed does it again, and without faults nothing is changed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bench;
mod conformance;
mod faults;
mod replay;
mod results;
mod storage;

//! S3 storage against moto, alone and behind a front that makes trouble.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

mod conformance;
mod faults;
mod place;

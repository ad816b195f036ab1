//! Cloud Storage against a server of ours, whole and making trouble.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

mod conformance;
mod faults;
mod place;
mod races;
mod refusals;

//! Setup and teardown on AWS, against moto, which has S3, IAM, STS, the control plane of Lambda and CloudWatch Logs.
//!
//! Where moto differs from AWS in what these tests would see:
//! - It ignores `EphemeralStorage` in `UpdateFunctionConfiguration` and `Architectures` in `UpdateFunctionCode`.
//! - It shows the first `PutFunctionEventInvokeConfig`, whatever comes after it.
//! - With enforcement on, it knows conditions of trust policies alone, and resources of S3 alone; it finds every signature
//!   for Lambda wrong, and those for IAM where there is a space in what is sent.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

mod changes;
mod course;
mod cut;
mod permissions;
mod refusals;
mod waiting;
mod world;

//! `rustwren setup` on AWS: the bucket, the role, the log group and the function that jobs need, made, checked and
//! removed.
//!
//! What is made carries the tag [`MARK`] from its first moment, and only what carries it is ever changed or removed.

mod arn;
mod async_calls;
mod bucket;
mod call;
#[cfg(test)]
mod documented;
mod factory;
mod function;
mod log_group;
mod mark;
mod package;
pub mod policy;
mod provisioner;
mod role;
mod spec;
mod tail;

pub use arn::Account;
pub use factory::AwsProvisionerFactory;
pub use mark::{MARK, MARK_VALUE};
pub use provisioner::AwsProvisioner;

//! `rustwren setup` on AWS: the bucket, the role, the log group and the function that jobs need, made, checked and
//! removed.
//!
//! What is made carries the tag [`MARK`] from its first moment, and only what carries it is ever changed or removed.

mod arn;
mod package;
mod policy;

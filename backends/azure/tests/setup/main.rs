//! Setup on Azure against a server of ours that follows the published APIs.
#![expect(clippy::unwrap_used, reason = "what tests share stands outside of them, where clippy looks")]

mod course;
mod keeping;
mod lines;
mod names;
mod trouble;
mod world;

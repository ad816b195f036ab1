//! Setup on Google Cloud against a server of ours that follows the published APIs.
#![expect(clippy::unwrap_used, reason = "what tests share stands outside of them, where clippy looks")]

mod clients;
mod course;
mod logs;
mod trouble;
mod world;

//! Servers that stand in for the clouds in tests: others' programs where there are good ones, ours where not.
//!
//! Each listens on 127.0.0.1 and a free port, and ends with whoever started it. What is installed for them lies in
//! `.cache/`, where `scripts/test` puts it; what is missing there fails the test.

pub mod azure_control;
mod azurite;
mod certificates;
mod front;
pub mod functions_host;
mod gcs;
pub mod google_control;
pub mod lambda;
mod metadata;
mod moto;
mod published;
mod times;
mod unpack;

pub use azurite::Azurite;
pub use certificates::Certificates;
pub use front::{Front, Request, Verdict};
pub use gcs::{Gcs, OtherClient};
pub use metadata::Tokens;
pub use moto::Moto;

//! Servers that stand in for the clouds in tests: others' programs where there are good ones, ours where not.
//!
//! Each listens on 127.0.0.1 and a free port, and ends with whoever started it. What is installed for them lies in
//! `.cache/`, where `scripts/test` puts it; what is missing there fails the test.

mod azurite;
mod certificates;
mod front;
mod gcs;
pub mod lambda;
mod moto;

pub use azurite::Azurite;
pub use certificates::Certificates;
pub use front::{Front, Request, Verdict};
pub use gcs::{Gcs, OtherClient};
pub use moto::Moto;

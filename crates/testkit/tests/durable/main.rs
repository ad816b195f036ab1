//! Durable jobs over a storage behind a network that fails, and processes that are killed and frozen.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]
#![expect(clippy::duration_suboptimal_units, reason = "times are compared with leases, which are seconds")]
#![expect(unreachable_pub, reason = "a test's modules are not part of a library")]

mod cleaning;
mod committed;
mod driver;
mod driving;
mod images;
mod journal;
mod listing;
mod moment;
mod resuming;
mod signs;
mod stored;
mod world;
mod zombies;

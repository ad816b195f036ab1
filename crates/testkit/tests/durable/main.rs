//! Durable jobs over a storage behind a network that fails, and processes that are killed and frozen.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]
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

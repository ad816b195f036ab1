//! Durable jobs over a storage behind a network that fails, and processes that are killed and frozen.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![expect(unreachable_pub, reason = "a test's modules are not part of a library")]

mod cleaning;
mod driver;
mod driving;
mod journal;
mod moment;
mod world;

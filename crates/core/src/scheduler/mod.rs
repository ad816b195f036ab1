//! The scheduler: one future per job that turns encoded inputs into delivered results.
//!
//! It is written against the [`Invoker`](crate::invoker::Invoker) and [`Clock`](crate::clock::Clock) traits and
//! knows neither processes nor types, so it runs just as well under a simulated provider with simulated time.
//!
//! - [`input`]: where encoded inputs come from, and how chunks are cut out of them.
//! - [`chunker`]: how many elements the next chunk takes.
//! - [`slots`] and [`pace`]: how many invocations may be under way, shared by the jobs of one executor.
//! - [`retry`]: what a failure costs and whether it is tried again.
//! - `backups`: what slow workers have is run a second time.
//! - `budget`: what a job may cost, and what it has cost.
//! - `lease`: how long nothing may be heard of an invocation.
//! - [`outbox`]: results on their way to whoever holds the job.
//! - [`run`]: the future that drives all of it.

mod accept;
mod backups;
mod budget;
mod capsules;
pub mod chunker;
mod commands;
mod dispatch;
mod done;
mod ending;
mod events;
mod fetch;
mod flight;
pub mod follow;
mod given_up;
pub mod input;
mod keep;
mod known;
mod lease;
pub mod options;
mod orders;
pub mod outbox;
pub mod pace;
mod received;
mod recorder;
pub mod resumed;
pub mod retry;
pub mod run;
mod settle;
mod signs;
pub mod slots;
pub mod stats;
mod travel;

pub use commands::Commands;
pub use keep::Parting;
pub use options::{Backups, Budget, JobOptions, OnError};
pub use run::{JobRun, Resources};
pub use signs::Signs;

//! Users' programs from start to end: how they start, end and are ended, what they print, what they are told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]

mod disks;
mod ending;
mod harness;
mod journal;
mod kept;
mod kept_in_s3;
mod output;
mod pipes;
mod screen;
mod settings;
mod starting;

//! What the `rustwren` command needs.

pub use rustwren_core::clock::TokioClock;
pub use rustwren_core::{config, durable, entry, env, error, image, invoker, provision, scheduler, storage};

pub use rustwren_core::executor::start_driver;
pub use rustwren_core::worker::ARGUMENT as WORKER_ARGUMENT;
pub use rustwren_core::worker::rerun;

pub use crate::backends::compiled_in as registry;

//! What the `rustwren` command needs.

pub use rustwren_core::{config, env, error};

pub use crate::backends::compiled_in as registry;

//! How a function becomes an entry on the client and a function again in the function process.
//!
//! `describe` holds the typed trampolines: the only code between the two ends that knows the types of a
//! function's input and output. [`remote`] is the link-time registry of `#[remote]` functions. [`resolve`]
//! finds the function an entry names.

pub mod context;
mod describe;
pub mod remote;
mod resolve;
pub mod step;

pub use describe::{Described, map, map_async, map_with, try_map, try_map_async, try_map_with};
pub use resolve::resolve;

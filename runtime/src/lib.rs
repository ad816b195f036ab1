//! Being built.

pub mod image_cache;

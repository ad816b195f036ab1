//! The only module of RustWren with `unsafe` code. Each file holds one use of it and its safety argument.

pub(crate) mod entry;
pub(crate) mod environment;
pub(crate) mod page;

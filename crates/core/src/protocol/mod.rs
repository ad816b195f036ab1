//! What crosses a process border: records of inputs and results, and the frames between a supervisor and its
//! function processes. See `docs/protocol.md`.

pub mod frame;
pub mod message;
pub mod records;

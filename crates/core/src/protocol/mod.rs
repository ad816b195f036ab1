//! What crosses a process border: records of inputs and results, the frames between a supervisor and its function
//! processes, invocations that travel by themselves and the answers to them. See `docs/protocol.md`.

pub mod answer;
pub mod calls;
mod fields;
pub mod frame;
pub mod invocation;
pub mod json;
pub mod listener;
pub mod message;
pub mod queued;
pub mod records;
pub mod references;

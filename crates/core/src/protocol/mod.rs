//! What crosses a process border: records of inputs and results, the frames between a supervisor and its function
//! processes, and invocations that travel by themselves. See `docs/protocol.md`.

pub mod frame;
pub mod invocation;
pub mod message;
pub mod records;

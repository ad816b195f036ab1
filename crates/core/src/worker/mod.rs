//! The function process: the user's program, started again by a supervisor to run tasks.
//!
//! [`serve`] is called by `rustwren::init()` when it finds the worker environment. It speaks the frames of
//! [`crate::protocol`] over a socket pair and keeps a shared page up to date, from which the supervisor reads
//! which element is running. See `docs/protocol.md`.

use crate::env;

mod capture;
mod chunk;
mod chunk_async;
mod chunk_list;
mod control;
mod current;
mod flusher;
mod function;
mod handover;
mod host;
mod outbox;
mod panics;
pub mod rerun;
mod serve;

pub use capture::{MAX_OUTPUT, MAX_TAIL, dropped_note, join_tails, read_tail};
pub use chunk::Chunk;
pub use current::{TaskInfo, current};
pub use function::{Function, Resolve, Shared};
pub use handover::send_page;
pub(crate) use panics::failure as panic_failure;
pub use serve::serve;
pub(crate) use serve::{number, own_image};

pub use crate::raw::page::{Busy, SharedPage};

/// Environment variable: the program's image id, 64 hexadecimal digits. Its presence makes a program a function process.
pub const ENV_IMAGE: &str = env::WORKER_IMAGE.name;
/// Environment variable: how many function processes this one is nested in, from 1.
pub const ENV_DEPTH: &str = env::WORKER_DEPTH.name;
/// The only argument of a function process. A program whose `main` reads its arguments before it reaches
/// `rustwren::init()` refuses to start with it instead of running the user's `main` a second time.
pub const ARGUMENT: &str = "--rustwren-function-process";

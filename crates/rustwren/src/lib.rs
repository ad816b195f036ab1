//! Maps ordinary Rust functions over this machine's cores or thousands of serverless workers.
//!
//! ```no_run
//! use rustwren::prelude::*;
//!
//! #[rustwren::main] // this program is also its workers' program
//! async fn main() -> rustwren::Result<()> {
//!     let executor = Executor::connect().await?; // rustwren.toml; without one: this machine
//!     let squares = executor.map(|x: u64| x * x, 0..1_000).await?; // Vec<u64>, input order
//!     println!("{}", squares.iter().sum::<u64>());
//!     Ok(())
//! }
//! ```
//!
//! - [`Executor`] maps functions: [`map`](Executor::map), [`try_map`](Executor::try_map),
//!   [`map_async`](Executor::map_async), [`map_with`](Executor::map_with), [`call`](Executor::call),
//!   [`map_reduce`](Executor::map_reduce). Each returns a builder: await it, or spawn it for a [`Job`].
//! - [`task()`] tells a running task about itself.
//! - [`blocking`] is for programs without async.
//! - [`storage`] and [`invoker`] are the traits that backends implement.

mod backends;
pub mod blocking;
mod interrupt;
mod runtime;
mod terminal;

#[doc(hidden)]
pub mod __cli;

pub use rustwren_core::clock;
pub use rustwren_core::config;
pub use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind, Result};
pub use rustwren_core::executor::{
    Defaults, Executor, ExecutorBuilder, Job, JobHandle, Keeps, MapBuilder, MapReduceBuilder, Ordered,
    Pipeline, PipelineOutput, PipelineReport, PipelineStream, ProgramSource, SerialBaseline, StepKind,
    StepReport, TaskFuture, TaskState, Wait, Watcher,
};
pub use rustwren_core::failure::{FailureKind, TaskError, TaskFailure};
pub use rustwren_core::invoker;
pub use rustwren_core::price::{Price, Usd};
pub use rustwren_core::provision;
pub use rustwren_core::redact;
pub use rustwren_core::scheduler::stats::{JobStats, Progress};
pub use rustwren_core::scheduler::{Backups, Budget, OnError};
pub use rustwren_core::storage;
pub use rustwren_core::task::context::{Task, task};
pub use rustwren_macros::{main, remote};

/// What most programs need.
pub mod prelude {
    pub use futures_util::StreamExt as _;

    pub use crate::{
        Executor, FailureKind, Job, OnError, Pipeline, TaskError, TaskState, Wait, remote, task,
    };
}

/// Makes this program its own workers' program: the first statement of `main`, unless `#[rustwren::main]` is on it.
///
/// In a function process (this program, started again by a supervisor) it serves tasks and never returns; in the
/// agent of a detached job on this machine it sees to that job and never returns. Everywhere else it returns at once.
pub fn init() {
    init_with(|registry| registry);
}

/// [`init`] with backends of your own: register them on the registry that holds those compiled in.
pub fn init_with(backends: impl FnOnce(config::Registry) -> config::Registry) {
    rustwren_core::init::init(|| rustwren_core::init::Parts {
        registry: backends(backends::compiled_in()),
        watcher: terminal::watcher,
        agent: rustwren_local::agent::run,
    });
}

/// What macros expand to. Not for users: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use linkme;
    pub use rustwren_core::task::remote::{REMOTE, RemoteEntry};
    pub use rustwren_core::task::step;
    pub use rustwren_core::task::{map, map_async, map_with, try_map, try_map_async, try_map_with};

    pub use crate::runtime::{Flavor, block_on};
}

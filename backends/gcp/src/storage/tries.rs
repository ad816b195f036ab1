//! What fails in passing is tried again; here is how this service's failures tell.

use std::time::Duration;

use google_cloud_storage::Error as SdkError;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::remote::{Tries, Trouble};

use super::GcsStorage;
use super::errors;
use super::json::UNAUTHORIZED;
use crate::client::Number;
use crate::error::{Cause, Failure};

impl Trouble for Failure {
    fn class(&self) -> ErrorClass {
        errors::class(self)
    }

    fn may_have_happened(&self) -> bool {
        self.may_have_happened()
    }

    fn is_of_one(&self) -> bool {
        errors::is_of_one_object(self)
    }

    fn unanswered(within: Duration) -> Self {
        Self::ours(Cause::Silent, format!("given up after {} s", within.as_secs()))
    }
}

impl GcsStorage {
    /// Whether a request of the crate's is to be sent once more, with another token than the one that was refused.
    pub(super) fn renewed(&self, failure: &Failure, number: Number, renewed: &mut bool) -> bool {
        let again = !*renewed && failure.status == Some(UNAUTHORIZED) && self.credentials.refused(number);
        *renewed |= again;
        again
    }

    /// One attempt at a request of the crate's that carries so many bytes.
    ///
    /// No async function: the request goes to the heap before anything waits for it.
    pub(super) fn attempt<T>(
        tries: &mut Tries<'_>,
        bytes: u64,
        request: impl Future<Output = Result<T, SdkError>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send {
        let request = Box::pin(request);
        tries.run(bytes, async move { request.await.map_err(|error| Failure::of(&error)) })
    }
}

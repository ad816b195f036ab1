//! What fails in passing is tried again, a few times within seconds; the class of what is left tells the caller.

use std::error::Error as StdError;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rustwren_core::error::ErrorClass;
use tokio::time::{sleep, timeout};

use super::S3Storage;
use super::errors::{self, CONFLICT};
use super::pace::Pace;
use crate::error::{Cause, Failure};

/// How often passing trouble is met before it is reported.
const TRANSIENT: u32 = 3;
/// How often in a row S3 may ask one request for a slower pace before that is reported.
const THROTTLED: u32 = 8;
/// Where S3 asks for a longer pause, the caller has better things to do.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How often a conditional write may meet another one.
const CONFLICTS: u32 = 16;

/// What is waited after the first trouble; twice that after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(40);

/// How long one request may take, whatever it carries.
const PATIENCE: Duration = Duration::from_secs(30);
/// The slowest line on which what it carries arrives in time, in bytes per second.
const SLOWEST: u64 = 64 << 10;

/// The attempts at one request.
#[derive(Debug)]
pub(super) struct Tries<'a> {
    pace: &'a Pace,
    transient: u32,
    throttled: u32,
    conflicts: u32,
    /// Whether an attempt that failed may have been carried out all the same.
    pub(super) uncertain: bool,
}

impl S3Storage {
    pub(super) fn tries(&self) -> Tries<'_> {
        Tries { pace: &self.pace, transient: 0, throttled: 0, conflicts: 0, uncertain: false }
    }
}

impl Tries<'_> {
    /// One attempt at a request that carries so many bytes, at the pace that S3 bears.
    ///
    /// No async function, here and below: a request of the SDK's is large, and goes to the heap before anything waits
    /// for it.
    pub(super) fn send<T, E>(
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

    /// The same for what is more than a request of the SDK's.
    pub(super) fn run<T>(
        &mut self,
        bytes: u64,
        attempt: impl Future<Output = Result<T, Failure>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send {
        let attempt = Box::pin(attempt);
        async move {
            let permit = self.pace.enter().await;
            let limit = PATIENCE + Duration::from_secs(bytes / SLOWEST);
            let result = match timeout(limit, attempt).await {
                Ok(result) => result,
                Err(_) => Err(Failure::ours(Cause::Silent, format!("given up after {} s", limit.as_secs()))),
            };
            match &result {
                Ok(_) => permit.served(),
                Err(failure) => {
                    if let ErrorClass::Throttled { retry_after } = errors::class(failure) {
                        permit.slow_down(retry_after.map(|asked| asked.min(LONGEST_PAUSE)));
                    }
                    self.uncertain |= failure.may_have_happened();
                }
            }
            result
        }
    }

    /// Returns, after a wait, when it is worth while to try again; else gives the failure back.
    pub(super) async fn again(&mut self, failure: Failure) -> Result<(), Failure> {
        let (count, most) = match errors::class(&failure) {
            // The pace has the wait.
            ErrorClass::Throttled { retry_after } => {
                self.throttled += 1;
                let is_too_long = retry_after.is_some_and(|asked| asked > LONGEST_PAUSE);
                return if is_too_long || self.throttled >= THROTTLED { Err(failure) } else { Ok(()) };
            }
            ErrorClass::Transient if failure.code() == CONFLICT => (&mut self.conflicts, CONFLICTS),
            ErrorClass::Transient | ErrorClass::TimedOut => (&mut self.transient, TRANSIENT),
            _ => return Err(failure),
        };
        *count += 1;
        if *count >= most {
            return Err(failure);
        }
        let wait = FIRST_WAIT.saturating_mul(1 << (*count - 1).min(5));
        sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
        Ok(())
    }
}

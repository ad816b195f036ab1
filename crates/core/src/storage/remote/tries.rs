//! What fails in passing is tried again, a few times within seconds; the class of what is left tells the caller.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::pace::Pace;
use crate::error::ErrorClass;

/// How often passing trouble is met before it is reported.
const TRANSIENT: u32 = 3;
/// How often in a row a service may ask one request for a slower pace before that is reported.
const THROTTLED: u32 = 8;
/// Where a service asks for a longer pause, the caller has better things to do.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How often a conditional write may meet another one.
const CONFLICTS: u32 = 16;

/// What is waited after the first trouble; twice that after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(40);

/// How long one request may take, whatever it carries.
const PATIENCE: Duration = Duration::from_secs(30);
/// The slowest line on which what it carries arrives in time, in bytes per second.
const SLOWEST: u64 = 64 << 10;

/// A request that failed, as a backend has it.
pub trait Trouble: Send {
    /// What it means.
    fn class(&self) -> ErrorClass;

    /// Whether the request may have been carried out all the same.
    fn may_have_happened(&self) -> bool;

    /// Whether it met another write, and which of them was first is not decided yet.
    fn is_conflict(&self) -> bool {
        false
    }

    /// Whether its class, where it is [`Throttled`](ErrorClass::Throttled), is about what it asks for alone, and the
    /// rest need not go slower for it. Whoever says so waits by himself.
    fn is_of_one(&self) -> bool {
        false
    }

    /// A request that was not answered within this time.
    fn unanswered(within: Duration) -> Self;
}

/// The attempts at one request.
#[derive(Debug)]
pub struct Tries<'a> {
    pace: &'a Pace,
    transient: u32,
    throttled: u32,
    conflicts: u32,
    /// Whether an attempt that failed may have been carried out all the same.
    pub uncertain: bool,
}

impl<'a> Tries<'a> {
    /// None made yet.
    pub fn new(pace: &'a Pace) -> Self {
        Self { pace, transient: 0, throttled: 0, conflicts: 0, uncertain: false }
    }

    /// One attempt at a request that carries so many bytes, at the pace that the service bears.
    ///
    /// No async function: a request of an SDK's is large, and goes to the heap before anything waits for it.
    pub fn run<T, F: Trouble>(
        &mut self,
        bytes: u64,
        attempt: impl Future<Output = Result<T, F>> + Send,
    ) -> impl Future<Output = Result<T, F>> + Send {
        let attempt = Box::pin(attempt);
        async move {
            let permit = self.pace.enter().await;
            let limit = PATIENCE + Duration::from_secs(bytes / SLOWEST);
            let result = match timeout(limit, attempt).await {
                Ok(result) => result,
                Err(_) => Err(F::unanswered(limit)),
            };
            match &result {
                Ok(_) => permit.served(),
                Err(failure) => {
                    if let ErrorClass::Throttled { retry_after } = failure.class()
                        && !failure.is_of_one()
                    {
                        permit.slow_down(retry_after.map(|asked| asked.min(LONGEST_PAUSE)));
                    }
                    self.uncertain |= failure.may_have_happened();
                }
            }
            result
        }
    }

    /// Returns, after a wait, when it is worth while to try again; else gives the failure back.
    pub async fn again<F: Trouble>(&mut self, failure: F) -> Result<(), F> {
        let (count, most) = match failure.class() {
            // The pace has the wait.
            ErrorClass::Throttled { retry_after } => {
                self.throttled += 1;
                let is_too_long = retry_after.is_some_and(|asked| asked > LONGEST_PAUSE);
                return if is_too_long || self.throttled >= THROTTLED { Err(failure) } else { Ok(()) };
            }
            ErrorClass::Transient if failure.is_conflict() => (&mut self.conflicts, CONFLICTS),
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

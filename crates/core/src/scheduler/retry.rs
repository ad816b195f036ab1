//! What a failure costs and whether it is tried again.

use std::time::Duration;

use super::options::{BACKOFF_FIRST, BACKOFF_MAX};
use crate::failure::FailureKind;

/// How often an element is tried again after it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryPolicy {
    /// Further attempts after any failure. When not given, it depends on the failure, see
    /// [`RetryPolicy::retries_after`].
    pub retries: Option<u32>,
}

impl RetryPolicy {
    /// How many further attempts a failure of this kind is worth.
    ///
    /// Without an explicit number: what the function says itself (a panic, an `Err`) and what it will say again
    /// (a stack overflow, an exit, a time-out) is believed at once; what its surroundings may have done to it
    /// (a killed or lost worker, no memory) is tried three times more; a fault of the process (SIGSEGV,
    /// SIGABRT) once more.
    pub fn retries_after(&self, kind: &FailureKind) -> u32 {
        const SIGKILL: i32 = 9;
        const SIGTERM: i32 = 15;
        match (self.retries, kind) {
            (_, FailureKind::Cancelled) => 0,
            (Some(n), _) => n,
            (None, FailureKind::Signal(SIGKILL | SIGTERM) | FailureKind::Lost | FailureKind::OutOfMemory) => {
                3
            }
            (None, FailureKind::Signal(_) | FailureKind::Connection) => 1,
            (None, _) => 0,
        }
    }
}

/// How long to wait before try number `tries + 1` after passing trouble: exponential, with full jitter over
/// its upper half.
pub(super) fn backoff(tries: u32, rng: &mut fastrand::Rng) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << tries.min(16)).min(BACKOFF_MAX);
    full.mul_f64(0.5 + rng.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_number_holds_for_every_failure() {
        let policy = RetryPolicy { retries: Some(2) };
        assert_eq!(policy.retries_after(&FailureKind::Panic), 2);
        assert_eq!(policy.retries_after(&FailureKind::Signal(11)), 2);
        assert_eq!(policy.retries_after(&FailureKind::Cancelled), 0);
    }

    #[test]
    fn the_default_believes_the_function_and_doubts_the_machine() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.retries_after(&FailureKind::Panic), 0);
        assert_eq!(policy.retries_after(&FailureKind::Signal(9)), 3);
        assert_eq!(policy.retries_after(&FailureKind::Lost), 3);
    }

    #[test]
    fn waiting_grows_and_stays_bounded() {
        let mut rng = fastrand::Rng::with_seed(1);
        for tries in 0..40 {
            let wait = backoff(tries, &mut rng);
            assert!(wait >= BACKOFF_FIRST / 2 && wait <= BACKOFF_MAX, "{tries}: {wait:?}");
        }
        assert!(backoff(12, &mut rng) >= BACKOFF_MAX / 2);
    }
}

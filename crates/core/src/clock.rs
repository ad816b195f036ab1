//! Time as the scheduler sees it, so that a simulation can bring its own.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A future that completes when its time has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A monotonic clock with sleep.
pub trait Clock: Send + Sync + 'static {
    /// Time since a fixed point of this clock's choosing. Never goes back.
    fn now(&self) -> Duration;

    /// Completes once `now()` has grown by at least `duration`.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The real clock. `sleep` must be called inside a tokio runtime with time enabled.
#[derive(Debug, Clone)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    /// A clock that reads zero now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

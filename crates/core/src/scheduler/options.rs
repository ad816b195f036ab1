//! What a job may be told.

use std::time::Duration;

use super::retry::RetryPolicy;

/// What to do when an element has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Stop the job at once; its error names the element.
    #[default]
    FailFast,
    /// Go on with the other elements; the failure is that element's result.
    Collect,
}

/// How one job is run. The scheduler's part of what the builder collects.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Elements per invocation; adaptive when not given.
    pub chunk_size: Option<u32>,
    /// Most invocations running at once; what the provider allows when not given.
    pub workers: Option<usize>,
    /// How often a failed element is tried again.
    pub retry: RetryPolicy,
    /// What a final failure means for the job.
    pub on_error: OnError,
    /// Undelivered result bytes beyond which no new chunk is started, while results are taken as a stream.
    pub result_buffer: usize,
    /// Input bytes under way beyond which no new chunk is started.
    pub input_buffer: usize,
    /// How often one chunk may meet passing trouble (5xx, lost worker) without any progress.
    pub patience: u32,
    /// Seed of the jitter in waiting times.
    pub seed: u64,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            chunk_size: None,
            workers: None,
            retry: RetryPolicy::default(),
            on_error: OnError::default(),
            result_buffer: 32 << 20,
            input_buffer: 64 << 20,
            patience: 10,
            seed: 0,
        }
    }
}

/// The first waiting time after passing trouble; doubled each time up to [`BACKOFF_MAX`].
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest waiting time between two tries of one chunk.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(20);

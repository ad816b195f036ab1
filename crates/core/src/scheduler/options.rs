//! What a job may be told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::retry::RetryPolicy;
use crate::invoker::Passing;
use crate::price::Usd;

/// What to do when an element has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Stop the job at once; its error names the element.
    #[default]
    FailFast,
    /// Go on with the other elements; the failure is that element's result.
    Collect,
}

/// Whether elements that a slow worker holds are run a second time elsewhere, when nothing else is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Backups {
    /// As [`Backups::ON`] where the provider says that its workers differ in speed, not at all elsewhere.
    #[default]
    Auto,
    /// Never.
    Off,
    /// When nothing is left to hand out and slots are free.
    After {
        /// An invocation is slow when it has taken this many times as long as the median of those that have ended,
        /// by the number of its elements. At least 1.
        factor: f64,
        /// Begin when at most this fraction of the job's elements is unfinished, from 0 to 1.
        remaining: f64,
    },
}

impl Backups {
    /// Backups when a quarter of the elements is left, of what has run twice as long as the median.
    pub const ON: Self = Self::After { factor: 2.0, remaining: 0.25 };
}

/// What a job may cost at most. The worst case of what is under way counts, so that no limit is ever exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Invocations, including those that fail or are repeated. Those that the provider refuses for now do not count.
    pub invocations: Option<u64>,
    /// Time of workers, added up.
    pub worker_time: Option<Duration>,
    /// Cost by the provider's published prices, see [`JobStats::cost`](super::stats::JobStats::cost).
    pub cost: Option<Usd>,
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
    /// Whether slow workers' elements are run a second time elsewhere.
    pub backups: Backups,
    /// What the job may cost at most.
    pub budget: Budget,
    /// For how long a provider may do nothing but throttle before the job ends as unavailable.
    pub throttle_patience: Duration,
    /// How inputs come from the job before, and outputs go to the job behind.
    pub passing: Passing,
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
            backups: Backups::default(),
            budget: Budget::default(),
            throttle_patience: Duration::from_mins(15),
            passing: Passing::default(),
            seed: 0,
        }
    }
}

/// The first waiting time after passing trouble; doubled each time up to [`BACKOFF_MAX`].
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest waiting time between two tries of one chunk.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(20);

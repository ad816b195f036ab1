//! What a job has done so far, in numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::durable::Spent;
use crate::invoker::Usage;
use crate::price::Usd;

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// All inputs, where that is known.
    pub total: Option<u64>,
    /// Elements with a result.
    pub done: u64,
    /// Elements that have failed for good.
    pub failed: u64,
    /// Elements that are with a worker now.
    pub running: u64,
    /// Attempts beyond the first.
    pub retried: u64,
}

impl Progress {
    /// Elements that need no more work.
    pub fn finished(&self) -> u64 {
        self.done + self.failed
    }
}

/// What a job has cost.
///
/// Kept in the journals of durable jobs, where a field that an earlier version did not write is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStats {
    /// Invocations dispatched.
    pub invocations: u64,
    /// Failed attempts at elements, retried or final.
    pub failures: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Invocations that the provider refused for now.
    pub throttled: u64,
    /// Invocations that ended in passing trouble and were tried again.
    pub transient: u64,
    /// Elements that came back undone and were dispatched again, at no attempt's cost.
    pub handed_back: u64,
    /// Invocations given up because nothing was heard of them in time.
    pub lost: u64,
    /// Backup tasks: elements sent to a second worker while a slow one still had them.
    pub backups: u64,
    /// Results of elements that were finished already (delivered, failed for good, or cancelled); they were
    /// dropped.
    pub duplicates: u64,
    /// Processes or environments started for this job.
    pub cold_starts: u64,
    /// The largest chunk.
    pub largest_chunk: u32,
    /// Input bytes dispatched.
    pub input_bytes: u64,
    /// Result bytes received.
    pub output_bytes: u64,
    /// The workers' times, added up.
    pub usage: Usage,
    /// How long workers were taken up by the job, added up: what they say themselves, and for invocations that
    /// ended without a reply the time from their start, or dispatch, until they were given up.
    pub worker_time: Duration,
    /// The part of `worker_time` that brought nothing: of attempts that failed with their worker, of what was given
    /// up, and of duplicates. Where an invocation brought something, its time is shared out evenly among its
    /// elements.
    pub wasted: Duration,
    /// What the provider charges for the invocations so far, by its published prices, without storage and
    /// traffic; zero where no prices are known.
    pub cost: Usd,
    /// The part of `cost` that belongs to `wasted`.
    pub wasted_cost: Usd,
    /// From spawn until now, or until the job's end.
    pub elapsed: Duration,
}

impl JobStats {
    /// Invocations that the provider did not refuse, or has not refused yet.
    pub(super) fn taken(&self) -> u64 {
        self.invocations.saturating_sub(self.throttled)
    }

    /// What it has used up, for the next driver of the job, and for people.
    pub(crate) fn spent(&self) -> Spent {
        Spent {
            invocations: self.taken(),
            worker_time: self.worker_time,
            micro_usd: self.cost.micros(),
            ..Spent::default()
        }
    }

    /// Begins with what earlier drivers of the job have used up.
    pub(super) fn begin_with(&mut self, spent: &Spent) {
        self.invocations = spent.invocations;
        self.worker_time = spent.worker_time;
        self.cost = Usd::from_micros(spent.micro_usd);
    }

    pub(super) fn add_usage(&mut self, usage: &Usage) {
        self.cold_starts += u64::from(usage.cold);
        self.usage.queued += usage.queued;
        self.usage.start += usage.start;
        self.usage.fetch += usage.fetch;
        self.usage.compute += usage.compute;
        self.usage.store += usage.store;
        self.usage.cold |= usage.cold;
    }
}

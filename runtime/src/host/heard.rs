//! What tasks write, for somebody else besides the client.

use std::sync::Arc;

use rustwren_core::invoker::{Events, JobSpec, LogLine, ResultBatch};

use super::Log;

/// Stands before the events of one invocation.
pub(super) struct Heard {
    pub(super) log: Log,
    pub(super) job: Arc<JobSpec>,
    pub(super) first: u64,
    pub(super) events: Arc<dyn Events>,
}

impl Events for Heard {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        self.events.results(invocation, batch);
    }

    fn started(&self, invocation: u64) {
        self.events.started(invocation);
    }

    fn alive(&self, invocation: u64) {
        self.events.alive(invocation);
    }

    fn log(&self, invocation: u64, line: LogLine) {
        (self.log)(&self.job, self.first, &line);
        self.events.log(invocation, line);
    }
}

//! What stands between a worker's reports and the client: batches are lost, held back, mixed up and repeated.

use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use rustwren_core::invoker::{Events, LogLine, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, split_together};

use crate::invoker::Shared;

/// How many reports of results come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    All,
    /// So many of the first.
    First(usize),
}

/// The reports of one invocation.
pub(crate) struct Filter {
    shared: Arc<Shared>,
    to: Arc<dyn Events>,
    /// The invocation's id as the client knows it.
    id: u64,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    passage: Passage,
    /// Whether everything is held until [`Filter::flush`].
    holds: bool,
    held: Vec<ResultBatch>,
}

impl Filter {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        to: &Arc<dyn Events>,
        id: u64,
        rng: Rng,
        passage: Passage,
        holds: bool,
    ) -> Arc<Self> {
        let state = Mutex::new(State { rng, passage, holds, held: Vec::new() });
        Arc::new(Self { shared: Arc::clone(shared), to: Arc::clone(to), id, state })
    }

    /// Lets everything through that is held.
    pub(crate) fn flush(&self) {
        let held = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.holds = false;
            std::mem::take(&mut state.held)
        };
        for batch in held {
            self.to.results(self.id, batch);
        }
    }

    fn repeat(&self, batch: ResultBatch, part: f64) {
        let wait = self.shared.plan.linger.mul_f64(part);
        let (shared, to, id) = (Arc::clone(&self.shared), Arc::clone(&self.to), self.id);
        self.shared.background.spawn(async move {
            shared.clock.sleep(wait).await;
            to.results(id, batch);
        });
    }
}

impl Events for Filter {
    fn results(&self, _: u64, batch: ResultBatch) {
        let plan = &self.shared.plan;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (reordered, repeated) = (state.rng.f64() < plan.reordered, state.rng.f64() < plan.repeated);
        let part = state.rng.f64();
        match &mut state.passage {
            Passage::All => {}
            Passage::First(0) => return,
            Passage::First(left) => *left -= 1,
        }
        if repeated {
            self.shared.tally.count(|tally| tally.repeated += 1);
            self.repeat(batch.clone(), part);
        }
        if state.holds {
            state.held.push(batch);
            return;
        }
        if reordered {
            self.shared.tally.count(|tally| tally.reordered += 1);
            state.held.push(batch);
            return;
        }
        let held = std::mem::take(&mut state.held);
        drop(state);
        self.to.results(self.id, batch);
        for batch in held {
            self.to.results(self.id, batch);
        }
    }

    fn started(&self, _: u64) {
        self.to.started(self.id);
    }

    fn alive(&self, _: u64) {
        self.to.alive(self.id);
    }

    fn log(&self, _: u64, line: LogLine) {
        self.to.log(self.id, line);
    }
}

/// Only the results of a second run: everything else has been told by the first, and that the second is alive says
/// nothing about it.
pub(crate) struct Echo {
    pub(crate) to: Arc<dyn Events>,
    pub(crate) id: u64,
}

impl Events for Echo {
    fn results(&self, _: u64, batch: ResultBatch) {
        self.to.results(self.id, batch);
    }

    fn started(&self, _: u64) {}

    fn log(&self, _: u64, _: LogLine) {}
}

/// Reports a reply that nobody waits for. Results in storage are left out: nobody looks there for a reply that never
/// came.
pub(crate) fn report_late(to: &dyn Events, id: u64, reply: Reply) {
    for batch in reply.results {
        if all_inline(&batch) {
            to.results(id, batch);
        }
    }
}

fn all_inline(batch: &ResultBatch) -> bool {
    let mut rest = &batch.records[..];
    while !rest.is_empty() {
        match split_together(rest) {
            Ok(result) if result.tag != ResultTag::Stored => rest = &rest[result.len..],
            _ => return false,
        }
    }
    true
}

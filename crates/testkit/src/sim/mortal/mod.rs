//! Durable jobs whose clients die: some are killed at any moment, others attach, or run the same program again, while
//! storage loses calls and replies. Whoever is left sees the job end, with every result once and all alike.

mod book;
mod client;
mod plan;
mod values;

use std::fmt;
use std::sync::Arc;

use rustwren_core::storage::MemoryStorage;

use super::clock::{SimClock, lock};
use super::executor::SimExecutor;
use book::Book;
pub use plan::{Keeping, Life, MortalPlan};

/// A run that broke a promise.
#[derive(Debug, Clone)]
pub struct MortalFailure {
    /// What was run.
    pub plan: MortalPlan,
    /// What was broken.
    pub violations: Vec<String>,
    /// What happened, event by event.
    pub trace: Vec<String>,
}

impl fmt::Display for MortalFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: usize = 400;
        for line in self.trace.iter().skip(self.trace.len().saturating_sub(LAST)) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{:#?}", self.plan)?;
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        write!(
            f,
            "again: RUSTWREN_SIM_SEED={} cargo test -p rustwren-testkit --test mortal many_seeds",
            self.plan.seed
        )
    }
}

/// What a run has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MortalReport {
    /// Clients that were killed.
    pub killed: u32,
    /// Times that a client took the lead.
    pub leads: u32,
    /// Entries of the journals.
    pub entries: u64,
    /// Invocations of all clients.
    pub invocations: u64,
}

/// Runs the plan of a seed. A failure has the trace, from a second run.
pub fn run_mortal(seed: u64) -> Result<MortalReport, Box<MortalFailure>> {
    let plan = MortalPlan::draw(seed);
    match run_plan(&plan, false) {
        Ok(report) => Ok(report),
        Err(first) => Err(match run_plan(&plan, true) {
            Err(again) => again,
            Ok(_) => first,
        }),
    }
}

/// Runs a plan; with `trace`, a failure says what happened.
pub fn run_plan(plan: &MortalPlan, trace: bool) -> Result<MortalReport, Box<MortalFailure>> {
    // Names and random parts of entries are drawn from this.
    fastrand::seed(plan.seed);
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), plan.seed);
    let objects = MemoryStorage::new();
    let book = Arc::new(Book::new(plan.clone(), objects.clone(), clock.clone(), trace));
    for (number, life) in plan.lives.iter().enumerate() {
        client::spawn(&executor.spawner(), &clock, &book, number, life);
    }
    if let Err(stuck) = executor.run() {
        book.violation(stuck.to_string());
    }
    let mut judging = SimExecutor::new(clock.clone(), plan.seed);
    let mut report = MortalReport::default();
    match judging.block_on(book.judge()) {
        Ok(judged) => report = judged,
        Err(stuck) => book.violation(stuck.to_string()),
    }
    let state = lock(&book.state);
    if state.violations.is_empty() {
        return Ok(report);
    }
    let (violations, trace) = (state.violations.clone(), state.trace.clone().unwrap_or_default());
    Err(Box::new(MortalFailure { plan: plan.clone(), violations, trace }))
}

//! What all clients of a durable job have seen, and what its journals say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use rustwren_core::clock::Clock;
use rustwren_core::durable::{
    Elements, End, Entry, How, Identities, Identity, JobId, Journal, Logged, Store,
};
use rustwren_core::error::{Error, ErrorKind};
use rustwren_core::failure::TaskError;
use rustwren_core::protocol::records::split_result;
use rustwren_core::storage::{MemoryStorage, StorageExt};

use super::MortalReport;
use super::plan::{Keeping, MortalPlan};
use crate::sim::clock::{SimClock, lock};
use crate::sim::work::input_of;

/// What became of an element.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Output(Vec<u8>),
    Failed(TaskError),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) violations: Vec<String>,
    pub(super) trace: Option<Vec<String>>,
    /// By element, what the first client that was told has seen.
    seen: BTreeMap<u64, Value>,
    /// How the job ended for those who saw it end.
    ends: Vec<(usize, Result<(), Error>)>,
    pub(super) killed: u32,
    pub(super) invocations: u64,
    /// The job, once it is begun.
    pub(super) id: Option<JobId>,
    /// Who is about to begin one.
    pub(super) founder: Option<usize>,
    /// Whether anybody has asked for it to be cancelled.
    pub(super) cancelled: bool,
}

pub(super) struct Book {
    pub(super) plan: MortalPlan,
    pub(super) objects: MemoryStorage,
    pub(super) clock: SimClock,
    /// Which elements have which identity.
    names: HashMap<Identity, u64>,
    pub(super) state: Mutex<State>,
}

impl Book {
    pub(super) fn new(plan: MortalPlan, objects: MemoryStorage, clock: SimClock, trace: bool) -> Self {
        let mut identities = Identities::default();
        let names = (0..plan.size).map(|index| (identities.next(&input(&plan, index)), index)).collect();
        let state = State { trace: trace.then(Vec::new), ..State::default() };
        Self { plan, objects, clock, names, state: Mutex::new(state) }
    }

    pub(super) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("!!! {what}"));
        let mut state = lock(&self.state);
        if state.violations.len() < 20 {
            state.violations.push(what);
        }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let now = self.clock.now();
        if let Some(trace) = &mut lock(&self.state).trace {
            trace.push(format!("{:>14.6} {}", now.as_secs_f64(), what()));
        }
    }

    /// A client is told what became of an element.
    #[expect(clippy::needless_pass_by_value, reason = "it is what is kept of the first")]
    pub(super) fn seen(&self, client: usize, index: u64, value: Value) {
        let mut state = lock(&self.state);
        let first = state.seen.entry(index).or_insert_with(|| value.clone());
        // In resumed jobs each run may fail, or succeed, where another did not.
        let comparable = match self.plan.keeping {
            Keeping::Durable => true,
            Keeping::Resume => matches!((&*first, &value), (Value::Output(_), Value::Output(_))),
        };
        if comparable && *first != value && !self.several_journals(&state) {
            let what = format!("client {client} sees another outcome of element {index} than one before it");
            drop(state);
            self.violation(what);
        }
    }

    /// Two runs of a program at the same time have a journal each, and may compute the same element each.
    fn several_journals(&self, _: &State) -> bool {
        self.plan.keeping == Keeping::Resume && self.plan.lives.len() > 1
    }

    pub(super) fn ended(&self, client: usize, end: Result<(), Error>) {
        lock(&self.state).ends.push((client, end));
    }

    /// The store without faults.
    pub(super) fn store(&self) -> Store {
        Store::new(Arc::new(self.objects.clone()), Arc::new(self.clock.clone()))
    }

    /// The elements in an entry, with their outcomes.
    pub(super) fn outcomes(&self, logged: &Logged) -> Vec<(u64, Value)> {
        let Entry::Results(results) = &logged.entry else { return Vec::new() };
        let mut out = Vec::new();
        for group in &results.groups {
            let indexes: Vec<u64> = match &group.elements {
                Elements::Run { first, count } => (*first..first + u64::from(*count)).collect(),
                Elements::Identities(identities) => identities
                    .iter()
                    .map(|identity| self.names.get(identity).copied().unwrap_or(u64::MAX))
                    .collect(),
            };
            let mut at = 0;
            for index in indexes {
                let Ok((_, body, len)) = split_result(&group.records[at..]) else { break };
                out.push((index, Value::Output(body.to_vec())));
                at += len;
            }
        }
        out.extend(results.failed.iter().map(|error| (error.index, Value::Failed(error.clone()))));
        out
    }

    /// The journals there are, all of them read.
    pub(super) async fn journals(&self) -> Vec<Vec<Logged>> {
        let mut journals = Vec::new();
        let objects = self.objects.list_all("jobs/").await.unwrap_or_default();
        let manifests = objects.iter().filter_map(|object| JobId::of_key(&object.key));
        let ids: Vec<JobId> = manifests.filter(|(_, name)| *name == "manifest").map(|(id, _)| id).collect();
        for id in ids {
            match Journal::open(&self.store(), id).entries().await {
                Ok(entries) => journals.push(entries),
                Err(error) => self.violation(format!("a journal cannot be read: {error}")),
            }
        }
        journals
    }

    /// The elements with a result in any journal.
    pub(super) async fn committed(&self) -> BTreeSet<u64> {
        let journals = self.journals().await;
        let outcomes = journals.iter().flatten().flat_map(|logged| self.outcomes(logged));
        let done = outcomes
            .filter(|(_, value)| self.plan.keeping == Keeping::Durable || matches!(value, Value::Output(_)));
        done.map(|(index, _)| index).collect()
    }

    /// Compares what was seen with what is written.
    pub(super) async fn judge(&self) -> MortalReport {
        let journals = self.journals().await;
        let mut first: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        let (mut leads, mut entries) = (0, 0);
        for journal in &journals {
            let mut of_this: BTreeSet<u64> = BTreeSet::new();
            for logged in journal {
                entries += 1;
                leads += u32::from(matches!(logged.entry, Entry::Lead(_)));
                for (index, value) in self.outcomes(logged) {
                    // Later ones of one journal count for nothing, but that a resumed job tries again what has failed.
                    let failed = matches!(value, Value::Failed(_));
                    let is_tried_again = failed && self.plan.keeping == Keeping::Resume;
                    if is_tried_again || of_this.insert(index) || failed {
                        first.entry(index).or_default().push(value);
                    }
                }
            }
        }
        let state = lock(&self.state);
        let mut wrong = Vec::new();
        for (index, seen) in &state.seen {
            let written = first.get(index).is_some_and(|values| values.contains(seen));
            if !written {
                wrong.push(format!("what was seen of element {index} is not what the journal says"));
            }
        }
        self.judge_ends(&state, &journals, &mut wrong);
        let report = MortalReport { killed: state.killed, leads, entries, invocations: state.invocations };
        drop(state);
        for what in wrong {
            self.violation(what);
        }
        report
    }

    fn judge_ends(&self, state: &State, journals: &[Vec<Logged>], wrong: &mut Vec<String>) {
        // A run that goes on with an ended one writes behind its end; nobody else does.
        let behind = if self.plan.keeping == Keeping::Resume { usize::MAX } else { 1 };
        let last_of = |journal: &'_ [Logged]| journal.len().saturating_sub(behind);
        let entries = journals.iter().flat_map(|journal| &journal[last_of(journal)..]);
        let ends: Vec<&End> = entries
            .filter_map(|logged| if let Entry::End(end) = &logged.entry { Some(end) } else { None })
            .collect();
        let last = self.plan.lives.len() - 1;
        if !state.ends.iter().any(|(client, _)| *client == last) {
            wrong.push("the last client did not see the end".to_owned());
        }
        for (client, end) in &state.ends {
            let told = match end {
                Ok(()) => How::Done,
                Err(error) if error.kind() == ErrorKind::Cancelled && state.cancelled => How::Cancelled,
                Err(error) if error.kind() == ErrorKind::Task => {
                    if !ends.iter().any(|end| matches!(end.how, How::Failed(_))) {
                        wrong.push(format!(
                            "client {client} was told of a failure that is not written: {error}"
                        ));
                    }
                    continue;
                }
                // Of a storage that could not be used, or of another run that has taken the job over.
                Err(_) if *client != last => continue,
                Err(error) => {
                    wrong.push(format!("the last client was told: {error}"));
                    continue;
                }
            };
            if !ends.iter().any(|end| end.how == told) && *client == last {
                wrong.push(format!("client {client} was told {told:?}, and that is not written"));
            }
        }
    }
}

/// The encoded input of an element.
pub(super) fn input(plan: &MortalPlan, index: u64) -> Vec<u8> {
    input_of(plan.options.seed, index % plan.period, plan.padding)
}

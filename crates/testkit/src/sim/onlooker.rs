//! [`Onlooker`]: keeps the book from outside, by what goes to and comes from any invoker. Under faults that lie
//! between the scheduler and its provider, what the provider did says little; what the scheduler was told says all.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use rustwren_core::clock::Clock;
use rustwren_core::codec;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::invoker::{
    Events, Invocation, Invoker, Limits, LogLine, Payload, Reply, ResultBatch, Stopped,
};
use rustwren_core::protocol::records::{ResultTag, split_result, split_together};
use rustwren_core::storage::{Key, MemoryStorage, Storage};

use super::clock::{SimClock, lock};
use super::ledger::Ledger;
use super::work::takes_lists;

/// An invoker around another that writes into a [`Ledger`] what the scheduler sends and is told.
#[derive(Debug)]
pub(super) struct Onlooker {
    inner: Arc<dyn Invoker>,
    desk: Arc<Desk>,
}

/// What all invocations have in common.
#[derive(Debug)]
struct Desk {
    clock: SimClock,
    ledger: Arc<Mutex<Ledger>>,
    reports_start: bool,
    storage: MemoryStorage,
    /// Whether what is stored may be there and not be had, and may take its time.
    unsure: bool,
}

impl Onlooker {
    /// `storage` is what lies below all that the scheduler and the workers see of it; `unsure` says that those see
    /// it with faults.
    pub(super) fn new(
        inner: Arc<dyn Invoker>,
        clock: SimClock,
        storage: MemoryStorage,
        unsure: bool,
        trace: bool,
    ) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::new(inner.limits(), trace)));
        let reports_start = inner.limits().reports_start;
        Self { inner, desk: Arc::new(Desk { clock, ledger, reports_start, storage, unsure }) }
    }

    pub(super) fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.desk.ledger)
    }
}

/// One invocation as it looks from outside.
struct Look {
    desk: Arc<Desk>,
    invocation: Invocation,
    number: u64,
    to: Arc<dyn Events>,
    state: Mutex<State>,
}

struct State {
    /// What was reported about an element, by its offset.
    reported: Vec<bool>,
    /// Elements whose results may not be had.
    stored: Vec<u32>,
    started: bool,
    over: bool,
}

impl Look {
    fn new(desk: &Arc<Desk>, invocation: &Invocation, events: &Arc<dyn Events>) -> Arc<Self> {
        let mut ledger = lock(&desk.ledger);
        // Inputs that took their time to be stored were sent before now, when other things held.
        let earlier = desk.unsure && matches!(invocation.inputs, Payload::Stored { .. });
        let was = ledger.leave_to_others(earlier);
        let number = ledger.dispatched(invocation, desk.clock.now());
        ledger.leave_to_others(was);
        drop(ledger);
        let reported = vec![false; invocation.count as usize];
        let state = State { reported, stored: Vec::new(), started: false, over: false };
        let (desk, to, invocation) = (Arc::clone(desk), Arc::clone(events), invocation.clone());
        Arc::new(Self { desk, invocation, number, to, state: Mutex::new(state) })
    }

    fn note(&self, what: impl FnOnce() -> String) {
        let number = self.number;
        lock(&self.desk.ledger).note(self.desk.clock.now(), || format!("#{number} {}", what()));
    }

    /// Writes down what a batch says, unless it comes too late: what is made of late results is up to the scheduler.
    fn read(&self, state: &mut State, batch: &ResultBatch) {
        if takes_lists(&self.invocation.job) {
            return self.read_lists(state, batch);
        }
        if state.over {
            return;
        }
        let mut at = 0;
        for offset in batch.offset..batch.offset.saturating_add(batch.count) {
            let Ok((tag, body, len)) = split_result(&batch.records[at..]) else { return };
            at += len;
            match state.reported.get_mut(offset as usize) {
                Some(reported) if !*reported => *reported = true,
                _ => continue,
            }
            let index = self.invocation.first + u64::from(offset);
            let (job, now) = (&self.invocation.job.id, self.desk.clock.now());
            let mut ledger = lock(&self.desk.ledger);
            match tag {
                ResultTag::Output => ledger.done(job, index, body.len(), now),
                ResultTag::Failure => {
                    let failure: Result<TaskFailure, _> = codec::decode(body);
                    let kind = failure.map_or(FailureKind::Output, |failure| failure.kind);
                    ledger.charge(&self.invocation, index, kind, self.number);
                }
                ResultTag::Stored => {
                    if let Some(output) = self.desk.stored(body) {
                        ledger.done(job, index, output.len(), now);
                    } else {
                        ledger.misplaced(job, index, self.number);
                        state.stored.push(offset);
                    }
                }
            }
        }
    }

    /// The same where results may be those of lists. Whether one that comes too late, or was stored, is taken depends on
    /// what else has come by then.
    fn read_lists(&self, state: &mut State, batch: &ResultBatch) {
        let (job, now) = (&self.invocation.job.id, self.desk.clock.now());
        let (mut offset, mut at) = (batch.offset, 0);
        while let Ok(result) = split_together(&batch.records[at..]) {
            at += result.len;
            let elements = offset..offset + result.count;
            offset = elements.end;
            let is_new = |k: &u32| state.reported.get(*k as usize).is_some_and(|reported| !reported);
            let new: Vec<u32> = elements.clone().filter(is_new).collect();
            let index = |k: u32| self.invocation.first + u64::from(k);
            let list = index(elements.start)..index(elements.end);
            let mut ledger = lock(&self.desk.ledger);
            if state.over {
                if result.tag != ResultTag::Failure {
                    ledger.listed(job, list, 0, now, (self.number, false));
                }
                continue;
            }
            for k in &new {
                state.reported[*k as usize] = true;
            }
            if new.len() < elements.len() {
                // The scheduler takes none of them.
                for k in new {
                    ledger.misplaced(job, index(k), self.number);
                }
            } else if result.tag == ResultTag::Failure {
                let failure: Result<TaskFailure, _> = codec::decode(result.body);
                let kind = failure.map_or(FailureKind::Output, |failure| failure.kind);
                ledger.charge(&self.invocation, list.start, kind, self.number);
            } else {
                let sure = result.tag == ResultTag::Output;
                ledger.listed(job, list, result.body.len(), now, (self.number, sure));
                if !sure {
                    state.stored.extend(elements);
                }
            }
        }
    }

    fn blame(&self, state: &mut State, offset: u32, kind: &FailureKind) {
        match state.reported.get_mut(offset as usize) {
            Some(reported) if !*reported => *reported = true,
            _ => return,
        }
        let index = self.invocation.first + u64::from(offset);
        lock(&self.desk.ledger).charge(&self.invocation, index, kind.clone(), self.number);
    }

    /// Nobody can say what the worker was doing: a lone element without a result is to blame.
    fn blame_lone(&self, state: &mut State) {
        let mut missing = (0..self.invocation.count).filter(|k| !state.reported[*k as usize]);
        if let (Some(only), None) = (missing.next(), missing.next()) {
            drop(missing);
            self.blame(state, only, &FailureKind::Lost);
            self.fruitless(state, false);
        }
    }

    fn fruitless(&self, state: &State, fruitless: bool) {
        lock(&self.desk.ledger).fruitless(&self.invocation, fruitless, &state.stored);
    }

    fn stopped(&self, state: &mut State, stopped: &Stopped) {
        for (offset, failure) in &stopped.failed {
            self.blame(state, *offset, &failure.kind);
        }
        // One suspect is guilty; several are not charged, but they are dealt with.
        match &stopped.suspects[..] {
            [(offset, failure)] => self.blame(state, *offset, &failure.kind),
            several => {
                for (offset, _) in several {
                    if let Some(reported) = state.reported.get_mut(*offset as usize) {
                        *reported = true;
                    }
                }
            }
        }
    }

    /// The invocation has been answered.
    fn answered(&self, answer: &Result<Reply, BackendError>) {
        let mut state = lock(&self.state);
        match answer {
            Ok(reply) => {
                for batch in &reply.results {
                    self.read(&mut state, batch);
                }
                if let Some(stopped) = &reply.stopped {
                    self.stopped(&mut state, stopped);
                }
                self.note(|| format!("answered, {} results, {:?}", reply.results.len(), reply.stopped));
                self.fruitless(&state, state.reported.iter().all(|reported| !reported));
            }
            Err(error) => {
                self.note(|| format!("failed: {error}"));
                match error.class() {
                    ErrorClass::Transient => {
                        self.fruitless(&state, state.reported.iter().all(|reported| !reported));
                    }
                    ErrorClass::WorkerCrashed | ErrorClass::TimedOut => self.blame_lone(&mut state),
                    ErrorClass::Throttled { .. } => {
                        lock(&self.desk.ledger).refused(&self.invocation.job.id);
                    }
                    _ => {}
                }
            }
        }
        self.leave(&mut state);
    }

    fn leave(&self, state: &mut State) {
        state.over = true;
        lock(&self.desk.ledger).ended(self.number, &self.invocation);
    }
}

impl Desk {
    /// A stored output; none if it cannot be had, or may not be had.
    fn stored(&self, place: &[u8]) -> Option<Bytes> {
        let Payload::Stored { key, offset, len } = codec::decode(place).ok().filter(|_| !self.unsure)? else {
            return None;
        };
        let range = offset..offset + len;
        let key = Key::new(key).ok()?;
        self.storage.get_range(&key, range).now_or_never()?.ok().filter(|bytes| bytes.len() as u64 == len)
    }
}

impl Events for Look {
    fn results(&self, _: u64, batch: ResultBatch) {
        let mut state = lock(&self.state);
        let late = if state.over { " late" } else { "" };
        self.note(|| format!("reports{late} {}+{}", batch.offset, batch.count));
        self.read(&mut state, &batch);
        drop(state);
        self.to.results(self.invocation.id, batch);
    }

    fn started(&self, _: u64) {
        let mut state = lock(&self.state);
        state.started |= !state.over;
        drop(state);
        self.to.started(self.invocation.id);
    }

    fn alive(&self, _: u64) {
        self.to.alive(self.invocation.id);
    }

    fn log(&self, _: u64, line: LogLine) {
        self.to.log(self.invocation.id, line);
    }
}

/// Sees when an invocation is given up.
struct Watch(Arc<Look>);

impl Drop for Watch {
    fn drop(&mut self) {
        let look = &self.0;
        let mut state = lock(&look.state);
        if state.over {
            return;
        }
        look.note(|| "given up".to_owned());
        // Either its lease ran out, or there is nothing left to be charged: all its elements were finished elsewhere,
        // or the job is over.
        if look.desk.reports_start && !state.started {
            look.fruitless(&state, state.reported.iter().all(|reported| !reported));
        } else {
            look.blame_lone(&mut state);
        }
        look.leave(&mut state);
    }
}

#[async_trait]
impl Invoker for Onlooker {
    fn limits(&self) -> &Limits {
        self.inner.limits()
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let watch = Watch(Look::new(&self.desk, &invocation, events));
        let seen: Arc<dyn Events> = Arc::clone(&watch.0) as Arc<dyn Events>;
        let answer = self.inner.invoke(invocation, &seen).await;
        watch.0.answered(&answer);
        answer
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.inner.invoke_detached(invocation).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

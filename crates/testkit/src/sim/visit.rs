//! One simulated invocation under way, from its dispatch until it is over or given up.

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::clock::Clock;
use rustwren_core::failure::FailureKind;
use rustwren_core::invoker::{Events, Invocation};

use super::clock::lock;
use super::course::{Course, End, Finished, batches};
use super::invoker::{Worker, World};
use super::work::takes_lists;

/// A worker's time set aside for an invocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    worker: usize,
    begins: Duration,
    ends: Duration,
}

/// One invocation under way. Dropping it gives it up.
#[expect(
    clippy::struct_excessive_bools,
    reason = "marks of the way it has come, which it need not come in one order"
)]
pub(super) struct Visit {
    world: Arc<World>,
    pub(super) invocation: Invocation,
    pub(super) number: u64,
    running: bool,
    pub(super) accepted: bool,
    /// Whether the scheduler was told that it began.
    pub(super) told_start: bool,
    seat: Option<Seat>,
    /// Whether its worker has begun to start.
    began: bool,
    over: bool,
    pub(super) events: Arc<dyn Events>,
    /// Elements with a reported result.
    pub(super) reported: Vec<u32>,
    /// Those of which the result is not where it was said to be.
    pub(super) misplaced: Vec<u32>,
    /// Results stored so far.
    pub(super) stored: usize,
    /// What may be reported too late.
    pub(super) late: Vec<Finished>,
}

impl Visit {
    pub(super) fn new(world: &Arc<World>, invocation: Invocation, events: &Arc<dyn Events>) -> Self {
        let number = lock(&world.ledger).dispatched(&invocation, world.clock.now());
        let (world, events) = (Arc::clone(world), Arc::clone(events));
        let (reported, misplaced, late) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            world,
            invocation,
            number,
            running: false,
            accepted: false,
            told_start: false,
            seat: None,
            began: false,
            over: false,
            events,
            reported,
            misplaced,
            stored: 0,
            late,
        }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let number = self.number;
        lock(&self.world.ledger).note(self.world.clock.now(), || format!("#{number} {}", what()));
    }

    /// Writes results into the book that the scheduler is told now. Of `stored` ones it has to find out, and of
    /// `misplaced` ones it is told in vain.
    pub(super) fn report(&mut self, finished: &[Finished], stored: &[u32], misplaced: &[u32]) {
        let now = self.world.clock.now();
        let job = &self.invocation.job.id;
        let lists = takes_lists(&self.invocation.job);
        let mut ledger = lock(&self.world.ledger);
        for one in finished {
            if self.reported.contains(&one.offset) {
                continue;
            }
            self.reported.extend(one.elements());
            let index = self.invocation.first + u64::from(one.offset);
            match &one.record {
                Ok(output) if lists => {
                    let list = index..index + u64::from(one.count);
                    let sure = !stored.contains(&one.offset);
                    if !sure {
                        self.misplaced.extend(one.elements());
                    }
                    ledger.listed(job, list, output.len(), now, (self.number, sure));
                }
                Ok(_) if misplaced.contains(&one.offset) => {
                    self.misplaced.push(one.offset);
                    ledger.misplaced(job, index, self.number);
                }
                Ok(output) => ledger.done(job, index, output.len(), now),
                Err(failure) => ledger.charge(&self.invocation, index, failure.kind.clone(), self.number),
            }
        }
    }

    /// Reports an element as blamed, unless it has a result already.
    pub(super) fn blame(&mut self, offset: u32, kind: &FailureKind) {
        if !self.reported.contains(&offset) {
            self.reported.push(offset);
            let index = self.invocation.first + u64::from(offset);
            lock(&self.world.ledger).charge(&self.invocation, index, kind.clone(), self.number);
        }
    }

    /// Nobody can say what the worker was doing: a lone element without a result is to blame.
    pub(super) fn blame_lone(&mut self) {
        let missing: Vec<u32> = (0..self.invocation.count).filter(|k| !self.reported.contains(k)).collect();
        if let [only] = missing[..] {
            self.blame(only, &FailureKind::Lost);
            self.fruitless(false);
        }
        self.note(|| format!("lost with {} unfinished", missing.len()));
    }

    pub(super) fn fruitless(&self, fruitless: bool) {
        lock(&self.world.ledger).fruitless(&self.invocation, fruitless, &self.misplaced);
    }

    /// Takes the worker that is free first, for a course of this length. How long it will queue and start.
    pub(super) fn seat(&mut self, course: &Course) -> (Duration, Duration) {
        let now = self.world.clock.now();
        let workers = &mut lock(&self.world.state).workers;
        let (index, worker) = workers.first();
        let begins = worker.free_at.max(now);
        let start = if worker.warm { Duration::ZERO } else { self.world.provider.cold_start };
        let busy = if matches!(course.end, End::Never) { Duration::MAX } else { start + course.compute };
        let ends = begins.saturating_add(busy);
        workers.set(index, Worker { free_at: ends, warm: !course.died });
        self.seat = Some(Seat { worker: index, begins, ends });
        (begins.saturating_sub(now), start)
    }

    pub(super) fn begin(&mut self) {
        if let Some(Seat { ends, .. }) = self.seat {
            (self.running, self.began) = (true, true);
            lock(&self.world.ledger).started(&self.invocation.job.id, self.world.clock.now(), ends);
        }
    }

    pub(super) fn end(&mut self) {
        if let (true, Some(Seat { ends, .. })) = (std::mem::take(&mut self.running), self.seat) {
            lock(&self.world.ledger).stopped(&self.invocation.job.id, ends);
        }
    }

    pub(super) fn leave(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.end();
        let mut ledger = lock(&self.world.ledger);
        ledger.ended(self.number, &self.invocation);
        if let Some(Seat { begins, ends, .. }) = self.seat.filter(|_| self.began) {
            ledger.spent(&self.invocation.job.id, ends.min(self.world.clock.now()).saturating_sub(begins));
        }
        drop(ledger);
        let mut state = lock(&self.world.state);
        state.accepted -= usize::from(self.accepted);
        if let Some(Seat { worker, begins, ends }) = self.seat {
            let now = self.world.clock.now();
            state.worked += now.min(ends).saturating_sub(begins);
            // Given up early, and no one waits behind it.
            if state.workers.get(worker).free_at == ends && ends > now {
                state.workers.set(worker, Worker { free_at: begins.max(now), warm: false });
            }
        }
    }

    /// Results of an invocation that is over may still be on their way.
    pub(super) fn haunt(&mut self) {
        let late = std::mem::take(&mut self.late);
        let mut state = lock(&self.world.state);
        if late.is_empty() || state.rng.f64() >= self.world.provider.ghosts {
            return;
        }
        let wait = Duration::from_millis(state.rng.u64(0..2_000));
        drop(state);
        let Ok(batches) = batches(&late, |_, _| None) else {
            return;
        };
        let (world, events) = (Arc::clone(&self.world), Arc::clone(&self.events));
        let (invocation, number) = (self.invocation.clone(), self.number);
        self.world.spawner.spawn("late results", async move {
            world.clock.sleep(wait).await;
            let now = world.clock.now();
            // Late failures change nothing: what became of the attempt was reckoned up when it was given up.
            let outputs =
                late.iter().filter_map(|one| Some((one.elements(), one.record.as_ref().ok()?.len())));
            for (elements, len) in outputs {
                let index = invocation.first + u64::from(elements.start);
                let list = index..index + elements.len() as u64;
                let mut ledger = lock(&world.ledger);
                if takes_lists(&invocation.job) {
                    ledger.listed(&invocation.job.id, list, len, now, (number, false));
                } else {
                    ledger.done(&invocation.job.id, index, len, now);
                }
            }
            for batch in batches {
                lock(&world.ledger).note(now, || format!("#{number} late {}+{}", batch.offset, batch.count));
                events.results(invocation.id, batch);
            }
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.over {
            self.note(|| "given up".to_owned());
            // Either its lease ran out, or there is nothing left to be charged: all its elements were finished
            // elsewhere, or the job is over.
            if self.world.provider.reports_start && !self.told_start {
                self.fruitless(true);
            } else {
                self.blame_lone();
            }
            self.leave();
            self.haunt();
        }
    }
}

//! How many invocations each job of one executor may have under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use super::pace::Pace;
use crate::invoker::Limits;

/// The slots of one executor, shared fairly by the jobs that want them.
#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    concurrency: usize,
    pipelining: usize,
    pace: Pace,
    in_flight: usize,
    jobs: HashMap<u64, Claim>,
    next_job: u64,
}

#[derive(Debug, Default)]
struct Claim {
    in_flight: usize,
    /// Set while the job has something to run and no slot for it.
    waiting: Option<Waker>,
}

/// What came of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The slot is the caller's; to be given back by `give`.
    Yes,
    /// None is free; the waker is called when that may have changed.
    No,
    /// The provider asked to wait until then.
    NotBefore(Duration),
}

impl Slots {
    /// Slots as the provider's limits allow.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                concurrency: limits.concurrency.max(1),
                pipelining: limits.pipelining,
                pace: Pace::new(limits.concurrency),
                in_flight: 0,
                jobs: HashMap::new(),
                next_job: 0,
            }),
        })
    }

    /// Opens an account for one job.
    pub fn join(self: &Arc<Self>) -> Share {
        let mut state = self.lock();
        let id = state.next_job;
        state.next_job += 1;
        state.jobs.insert(id, Claim::default());
        Share {
            slots: Arc::clone(self),
            id,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_others(&mut self, id: u64) {
        if self.jobs.len() > 1 {
            for (_, claim) in self.jobs.iter_mut().filter(|(other, _)| **other != id) {
                if let Some(waker) = claim.waiting.take() {
                    waker.wake();
                }
            }
        }
    }
}

/// One job's account. Dropping it closes the account and gives back what it holds.
#[derive(Debug)]
pub struct Share {
    slots: Arc<Slots>,
    id: u64,
}

impl Share {
    /// Takes a slot. `workers`: most invocations of this job running at once. `depth`: how many may wait behind
    /// each running one.
    pub fn take(&self, cx: &Context<'_>, now: Duration, workers: usize, depth: usize) -> Taken {
        let mut state = self.slots.lock();
        let state = &mut *state;
        if now < state.pace.not_before() {
            return Taken::NotBefore(state.pace.not_before());
        }
        let running = state.pace.window().min(state.concurrency);
        let wanting = 1 + state
            .jobs
            .iter()
            .filter(|(id, c)| **id != self.id && c.waiting.is_some())
            .count();
        let fair = running.div_ceil(wanting).min(workers).max(1);
        let depth = depth.min(state.pipelining);
        let total = running * (1 + state.pipelining);
        let Some(mine) = state.jobs.get_mut(&self.id) else {
            return Taken::No;
        };
        if mine.in_flight < fair * (1 + depth) && state.in_flight < total {
            mine.in_flight += 1;
            mine.waiting = None;
            state.in_flight += 1;
            Taken::Yes
        } else {
            mine.waiting = Some(cx.waker().clone());
            Taken::No
        }
    }

    /// Says that the job has nothing to run for the moment, so that others need not share with it.
    pub fn rest(&self) {
        if let Some(mine) = self.slots.lock().jobs.get_mut(&self.id) {
            mine.waiting = None;
        }
    }

    /// Gives a slot back after its invocation ran.
    pub fn give(&self, ran: bool) {
        let mut state = self.slots.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some(mine) = state.jobs.get_mut(&self.id) {
            mine.in_flight = mine.in_flight.saturating_sub(1);
        }
        if ran {
            state.pace.success();
        }
        state.wake_others(self.id);
    }

    /// Gives a slot back whose invocation the provider refused for now.
    pub fn throttled(&self, now: Duration, dispatched: Duration, retry_after: Option<Duration>) {
        let mut state = self.slots.lock();
        let in_flight = state.in_flight;
        state.pace.throttled(now, dispatched, in_flight, retry_after);
        drop(state);
        self.give(false);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        if let Some(mine) = state.jobs.remove(&self.id) {
            state.in_flight = state.in_flight.saturating_sub(mine.in_flight);
        }
        // The others' shares have grown.
        state.wake_others(self.id);
        let rest: Vec<Waker> = state
            .jobs
            .values_mut()
            .filter_map(|claim| claim.waiting.take())
            .collect();
        drop(state);
        rest.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(share: &Share, workers: usize, depth: usize) -> usize {
        let cx = Context::from_waker(Waker::noop());
        (0..)
            .take_while(|_| share.take(&cx, Duration::ZERO, workers, depth) == Taken::Yes)
            .count()
    }

    #[test]
    fn one_job_gets_all() {
        let slots = Slots::new(&Limits::unlimited(10));
        assert_eq!(take_all(&slots.join(), usize::MAX, 0), 10);
        assert_eq!(take_all(&slots.join(), 3, 0), 3);
    }

    #[test]
    fn a_second_job_gets_its_half_as_slots_come_free() {
        let slots = Slots::new(&Limits::unlimited(10));
        let (a, b) = (slots.join(), slots.join());
        assert_eq!(take_all(&a, usize::MAX, 0), 10);
        assert_eq!(take_all(&b, usize::MAX, 0), 0);
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..10 {
            a.give(true);
            // Both ask after each release, the greedy one first.
            a.take(&cx, Duration::ZERO, usize::MAX, 0);
            b.take(&cx, Duration::ZERO, usize::MAX, 0);
        }
        a.give(true);
        assert_eq!(b.take(&cx, Duration::ZERO, usize::MAX, 0), Taken::Yes);
    }

    #[test]
    fn what_a_job_held_is_free_when_it_ends() {
        let slots = Slots::new(&Limits::unlimited(4));
        let a = slots.join();
        take_all(&a, usize::MAX, 0);
        drop(a);
        assert_eq!(take_all(&slots.join(), usize::MAX, 0), 4);
    }

    #[test]
    fn short_invocations_may_queue() {
        let mut limits = Limits::unlimited(2);
        limits.pipelining = 128;
        let slots = Slots::new(&limits);
        assert_eq!(take_all(&slots.join(), usize::MAX, 3), 8);
    }
}

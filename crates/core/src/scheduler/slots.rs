//! How many invocations each job of one executor may have under way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use super::pace::Pace;
use crate::invoker::Limits;

/// The slots of one executor, shared fairly by the jobs that want them.
#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
    workers: usize,
    /// Whether invocations may wait at the invoker, so that it matters how many have begun.
    queues: bool,
    /// Invocations that have begun and are not over.
    begun: AtomicUsize,
    /// When all workers had begun something last, in nanoseconds.
    busy_until: AtomicU64,
}

/// When all workers were busy with what had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// They are now.
    Now,
    /// Until then.
    Until(Duration),
}

#[derive(Debug)]
struct State {
    concurrency: usize,
    pipelining: usize,
    pace: Pace,
    in_flight: usize,
    /// Places whose invocation has ended and that nobody has been offered since.
    freed: usize,
    /// In the order in which they joined, so that a run can be had again.
    jobs: BTreeMap<u64, Claim>,
    next_job: u64,
    next_refusal: u64,
}

#[derive(Debug, Default)]
struct Claim {
    in_flight: usize,
    /// Whether the job has more to run, as far as it has said: it counts when shares are worked out.
    wants: bool,
    workers: usize,
    depth: usize,
    /// Since when it has been refused a slot, in order of first refusals.
    refused: Option<u64>,
    /// Called when a refusal may no longer hold.
    waker: Option<Waker>,
}

/// What came of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The slot is the caller's; to be given back by `give`.
    Yes,
    /// None is free; the waker is called when that may have changed.
    No,
    /// The same, and it may also change by itself at this time.
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
                freed: 0,
                jobs: BTreeMap::new(),
                next_job: 0,
                next_refusal: 0,
            }),
            workers: limits.concurrency.max(1),
            queues: limits.pipelining > 0,
            begun: AtomicUsize::new(0),
            busy_until: AtomicU64::new(0),
        })
    }

    /// How many slots are taken now, by all jobs together.
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// How many invocations run at once, as far as the provider's answers have taught.
    pub fn level(&self) -> usize {
        self.lock().pace.level()
    }

    /// Opens an account for one job.
    pub fn join(self: &Arc<Self>) -> Share {
        let mut state = self.lock();
        let id = state.next_job;
        state.next_job += 1;
        state.jobs.insert(id, Claim::default());
        Share { slots: Arc::clone(self), id, begun: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_others(&mut self, id: u64) {
        for (_, claim) in self.jobs.iter_mut().filter(|(other, _)| **other != id) {
            if let Some(waker) = claim.waker.take() {
                waker.wake();
            }
        }
    }

    /// How many invocations may run at once.
    fn running(&self, now: Duration) -> usize {
        self.pace.window(now).min(self.concurrency)
    }

    /// When more may run without anything else happening.
    fn next_change(&self, now: Duration) -> Option<Duration> {
        self.pace.next_change().filter(|at| *at > now)
    }

    /// A slot is taken.
    fn take(&mut self, now: Duration) {
        self.in_flight += 1;
        self.freed = self.freed.saturating_sub(1);
        self.pace.sent(now, self.in_flight);
    }

    /// How many may wait behind each running one: none at a provider that has refused some.
    fn pipelining(&self) -> usize {
        if self.pace.is_refusing() { 0 } else { self.pipelining }
    }

    /// Most invocations that a job may have under way: its share, if it is not to have fewer anyway.
    fn most(&self, claim: &Claim, wanting: usize, now: Duration) -> usize {
        let fair = self.running(now).div_ceil(wanting.max(1)).min(claim.workers).max(1);
        let most = fair * (1 + claim.depth.min(self.pipelining()));
        // An invocation that waits could run beside the others where there are more workers than the job may use.
        if claim.workers < self.concurrency { most.min(claim.workers.max(1)) } else { most }
    }

    /// Whether a slot is free for this job. Those that were refused before it go first.
    fn is_free_for(&self, id: u64, now: Duration) -> bool {
        let Some(mine) = self.jobs.get(&id) else { return false };
        let wanting = self.jobs.values().filter(|claim| claim.wants).count();
        let free = (self.running(now) * (1 + self.pipelining())).saturating_sub(self.in_flight);
        if free == 0 || mine.in_flight >= self.most(mine, wanting, now) {
            return false;
        }
        let turn = mine.refused.unwrap_or(u64::MAX);
        let before = self.jobs.iter().filter(|(other, claim)| {
            **other != id
                && claim.wants
                && claim.refused.is_some_and(|refused| refused < turn)
                && claim.in_flight < self.most(claim, wanting, now)
        });
        free > before.count()
    }
}

/// One job's account. Dropping it closes the account and gives back what it holds.
#[derive(Debug)]
pub struct Share {
    slots: Arc<Slots>,
    id: u64,
    /// Its invocations that have begun.
    begun: usize,
}

impl Share {
    /// Notes that one of its invocations has begun at a worker.
    pub fn started(&mut self) {
        if self.slots.queues {
            self.begun += 1;
            self.slots.begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that an invocation that had begun is over.
    pub fn stopped(&mut self, now: Duration) {
        if self.slots.queues {
            self.begun -= 1;
            if self.slots.begun.fetch_sub(1, Ordering::Relaxed) >= self.slots.workers {
                self.slots.busy_until.store(now.as_nanos() as u64, Ordering::Relaxed);
            }
        }
    }

    /// Whether all workers are busy, so that an invocation may well have to wait for one.
    pub fn busy(&self) -> Busy {
        if self.slots.queues && self.slots.begun.load(Ordering::Relaxed) >= self.slots.workers {
            return Busy::Now;
        }
        Busy::Until(Duration::from_nanos(self.slots.busy_until.load(Ordering::Relaxed)))
    }

    /// Takes a slot. `workers`: most invocations of this job running at once. `depth`: how many may wait behind
    /// each running one.
    pub fn take(&self, cx: &Context<'_>, now: Duration, workers: usize, depth: usize) -> Taken {
        let mut state = self.slots.lock();
        let state = &mut *state;
        state.pace.tick(now);
        let Some(mine) = state.jobs.get_mut(&self.id) else { return Taken::No };
        (mine.wants, mine.workers, mine.depth) = (true, workers, depth);
        let (free, next) = (state.is_free_for(self.id, now), state.next_change(now));
        let Some(mine) = state.jobs.get_mut(&self.id) else { return Taken::No };
        if free {
            mine.in_flight += 1;
            (mine.refused, mine.waker) = (None, None);
            state.take(now);
            Taken::Yes
        } else {
            mine.waker = Some(cx.waker().clone());
            if mine.refused.is_none() {
                mine.refused = Some(state.next_refusal);
                state.next_refusal += 1;
            }
            next.map_or(Taken::No, Taken::NotBefore)
        }
    }

    /// Says that the job takes no more for the moment, so that others need not share with it or wait for it.
    pub fn rest(&self) {
        let mut state = self.slots.lock();
        state.freed = 0;
        let Some(mine) = state.jobs.get_mut(&self.id) else { return };
        (mine.refused, mine.waker) = (None, None);
        if std::mem::take(&mut mine.wants) {
            state.wake_others(self.id);
        }
    }

    /// How many slots are free that no other job wants, where nothing waits at the invoker. With none, the waker is
    /// called when that may have changed.
    pub fn spare(&self, cx: &Context<'_>, now: Duration, workers: usize) -> usize {
        let mut state = self.slots.lock();
        let state = &mut *state;
        state.pace.tick(now);
        let wanted = state.jobs.iter().any(|(other, claim)| *other != self.id && claim.wants);
        let free = state.running(now).saturating_sub(state.in_flight);
        let Some(mine) = state.jobs.get_mut(&self.id) else { return 0 };
        let free = free.min(workers.saturating_sub(mine.in_flight));
        if free > 0 && !wanted {
            return free;
        }
        mine.waker = Some(cx.waker().clone());
        0
    }

    /// When a slot may come free without anything else happening.
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        self.slots.lock().next_change(now)
    }

    /// Takes a slot that was spare just now.
    pub fn take_spare(&self, now: Duration) {
        let mut state = self.slots.lock();
        state.take(now);
        if let Some(mine) = state.jobs.get_mut(&self.id) {
            mine.in_flight += 1;
        }
    }

    /// Gives a slot back after its invocation ran.
    pub fn give(&self, ran: bool) {
        let mut state = self.slots.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some(mine) = state.jobs.get_mut(&self.id) {
            mine.in_flight = mine.in_flight.saturating_sub(1);
        }
        state.freed += usize::from(ran);
        state.wake_others(self.id);
    }

    /// Gives a slot back whose invocation the provider refused for now.
    pub fn throttled(&self, now: Duration, dispatched: Duration, retry_after: Option<Duration>) {
        self.give(false);
        let mut state = self.slots.lock();
        // What ended since it was sent would have made room for it.
        let running = state.in_flight + state.freed;
        state.pace.refused(now, dispatched, running, retry_after);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.slots.begun.fetch_sub(self.begun, Ordering::Relaxed);
        let mut state = self.slots.lock();
        if let Some(mine) = state.jobs.remove(&self.id) {
            state.in_flight = state.in_flight.saturating_sub(mine.in_flight);
        }
        // The others' shares have grown.
        state.wake_others(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(share: &Share, workers: usize, depth: usize) -> usize {
        let cx = Context::from_waker(Waker::noop());
        (0..1_000_000).take_while(|_| share.take(&cx, Duration::ZERO, workers, depth) == Taken::Yes).count()
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
        let mut taken = (0, 0);
        for _ in 0..5 {
            a.give(true);
            // Both ask after each release, the greedy one first.
            taken.0 += take_all(&a, usize::MAX, 0);
            taken.1 += take_all(&b, usize::MAX, 0);
        }
        assert_eq!(taken, (0, 5));
        a.give(true);
        assert_eq!((take_all(&b, usize::MAX, 0), take_all(&a, usize::MAX, 0)), (0, 1));
    }

    #[test]
    fn more_jobs_than_slots_take_turns() {
        let slots = Slots::new(&Limits::unlimited(2));
        let jobs: Vec<Share> = (0..5).map(|_| slots.join()).collect();
        let mut holders = Vec::new();
        for (i, job) in jobs.iter().enumerate() {
            holders.extend(std::iter::repeat_n(i, take_all(job, usize::MAX, 0)));
        }
        let mut turns = [0; 5];
        for _ in 0..50 {
            let done = holders.remove(0);
            jobs[done].give(true);
            turns[done] += 1;
            // The one that has just run asks first, every time.
            for i in std::iter::once(done).chain(0..5) {
                holders.extend(std::iter::repeat_n(i, take_all(&jobs[i], usize::MAX, 0)));
            }
        }
        assert!(turns.iter().all(|n| (8..=12).contains(n)), "{turns:?}");
    }

    #[test]
    fn a_job_at_rest_needs_no_share() {
        let slots = Slots::new(&Limits::unlimited(4));
        let (a, b) = (slots.join(), slots.join());
        assert_eq!(take_all(&b, 1, 0), 1);
        assert_eq!(take_all(&a, usize::MAX, 0), 2);
        b.rest();
        assert_eq!(take_all(&a, usize::MAX, 0), 1);
    }

    #[test]
    fn fewer_workers_than_there_are_leave_no_room_to_queue() {
        let mut limits = Limits::unlimited(4);
        limits.pipelining = 10;
        let slots = Slots::new(&limits);
        assert_eq!(take_all(&slots.join(), 2, 10), 2);
        assert_eq!(take_all(&slots.join(), 4, 1), 8);
    }

    #[test]
    fn workers_are_busy_with_what_has_begun() {
        const S: Duration = Duration::from_secs(1);
        let mut limits = Limits::unlimited(2);
        limits.pipelining = 1;
        let slots = Slots::new(&limits);
        let (mut a, mut b) = (slots.join(), slots.join());
        a.started();
        assert_eq!(a.busy(), Busy::Until(Duration::ZERO));
        b.started();
        assert_eq!(a.busy(), Busy::Now);
        b.stopped(5 * S);
        assert_eq!(a.busy(), Busy::Until(5 * S));
        a.stopped(6 * S);
        assert_eq!(a.busy(), Busy::Until(5 * S));
        a.started();
        b.started();
        drop(a);
        assert_eq!(b.busy(), Busy::Until(5 * S));
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

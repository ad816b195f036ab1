//! The provider of a contest for policies that are a few lines of arithmetic: the same ramp, the same times of tasks and
//! the same rates of faults as the scheduler meets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use rustwren_chaos::ChaosPlan;
use rustwren_chaos::ramp::{Admission, Fleet};

use super::{Contest, Performance};

/// What happens next, and to which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// It arrives at the provider.
    Arrives(u64),
    /// It ends; with its worker, or without a result.
    Ends { call: u64, dies: bool, answers: bool },
    /// The ramp lets more workers start.
    Step,
    /// Its client looks and finds it done, or gives it up.
    Noticed(u64),
}

/// The provider, without a client.
pub(super) struct World<'a> {
    contest: &'a Contest,
    plan: ChaosPlan,
    /// Tasks per call.
    chunk: u64,
    pub(super) now: Duration,
    fleet: Fleet,
    pub(super) events: BinaryHeap<Reverse<(Duration, Event)>>,
    pub(super) rng: fastrand::Rng,
    pub(super) performance: Performance,
}

impl<'a> World<'a> {
    pub(super) fn new(contest: &'a Contest, chunk: u64) -> Self {
        let plan = contest.plan();
        let fleet = Fleet::new(contest.ramp, plan.keep_warm);
        let rng = fastrand::Rng::with_seed(contest.seed);
        let (events, performance) = (BinaryHeap::new(), Performance::default());
        Self { contest, plan, chunk, now: Duration::ZERO, fleet, events, rng, performance }
    }

    pub(super) fn calls(&self) -> u64 {
        self.contest.tasks.div_ceil(self.chunk)
    }

    pub(super) fn tasks(&self, call: u64) -> Range<u64> {
        call * self.chunk..self.contest.tasks.min((call + 1) * self.chunk)
    }

    pub(super) fn at(&mut self, time: Duration, event: Event) {
        self.events.push(Reverse((time, event)));
    }

    pub(super) fn next(&mut self) -> Option<Event> {
        let Reverse((time, event)) = self.events.pop()?;
        self.now = time;
        Some(event)
    }

    /// One way between client and provider.
    pub(super) fn way(&mut self) -> Duration {
        self.plan.latency.draw(&mut self.rng)
    }

    /// Has a call begin, unless it is refused. What befalls it is drawn as chaos does.
    pub(super) fn begin(&mut self, call: u64) -> bool {
        let start = match self.fleet.admit(self.now) {
            Admission::Refused { .. } => return false,
            Admission::Warm => Duration::ZERO,
            Admission::Cold => self.plan.cold_start.draw(&mut self.rng),
        };
        let work: Duration = self.tasks(call).map(|index| self.contest.time(index)).sum();
        let ChaosPlan { lost, lost_after, crashed, crashed_after, .. } = self.plan;
        let chance = self.rng.f64();
        let (runs, dies, answers) = if chance < lost {
            let runs = self.rng.f64() < lost_after;
            (runs, !runs, false)
        } else if chance < lost + crashed {
            (false, true, false)
        } else if chance < lost + crashed + crashed_after {
            (true, true, false)
        } else {
            (true, false, true)
        };
        let took = if runs { start + work } else { Duration::ZERO };
        self.performance.worked += if runs { work } else { Duration::ZERO };
        self.at(self.now + took, Event::Ends { call, dies, answers });
        true
    }

    /// A call has ended: its worker is free, or gone.
    pub(super) fn end(&mut self, dies: bool) {
        if dies {
            self.fleet.lose();
        } else {
            self.fleet.release(self.now);
        }
    }

    /// A call has ended and nobody will run its tasks again, if they have no result.
    pub(super) fn end_for_good(&mut self, call: u64, dies: bool, answers: bool) {
        self.end(dies);
        if !answers {
            self.performance.missing += self.tasks(call).count() as u64;
        }
    }

    /// When a client that looks every so often will see what happens now.
    pub(super) fn next_look(&self, every: Duration) -> Duration {
        let looks = self.now.as_nanos().div_ceil(every.as_nanos());
        every.saturating_mul(u32::try_from(looks).unwrap_or(u32::MAX))
    }
}

//! What other systems do with the same tasks and the same provider, as far as their policies go: no times for
//! serializing, for storage, or for Python are reckoned in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use rustwren_chaos::ChaosPlan;
use rustwren_chaos::ramp::{Admission, Fleet};

use super::{Contest, Performance};

/// What happens next, and to which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
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
struct World<'a> {
    contest: &'a Contest,
    plan: ChaosPlan,
    /// Tasks per call.
    chunk: u64,
    now: Duration,
    fleet: Fleet,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    rng: fastrand::Rng,
    performance: Performance,
}

impl<'a> World<'a> {
    fn new(contest: &'a Contest, chunk: u64) -> Self {
        let plan = contest.plan();
        let fleet = Fleet::new(contest.ramp, plan.keep_warm);
        let rng = fastrand::Rng::with_seed(contest.seed);
        let (events, performance) = (BinaryHeap::new(), Performance::default());
        Self { contest, plan, chunk, now: Duration::ZERO, fleet, events, rng, performance }
    }

    fn calls(&self) -> u64 {
        self.contest.tasks.div_ceil(self.chunk)
    }

    fn tasks(&self, call: u64) -> Range<u64> {
        call * self.chunk..self.contest.tasks.min((call + 1) * self.chunk)
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.events.push(Reverse((time, event)));
    }

    fn next(&mut self) -> Option<Event> {
        let Reverse((time, event)) = self.events.pop()?;
        self.now = time;
        Some(event)
    }

    /// One way between client and provider.
    fn way(&mut self) -> Duration {
        self.plan.latency.draw(&mut self.rng)
    }

    /// Has a call begin, unless it is refused. What befalls it is drawn as chaos does.
    fn begin(&mut self, call: u64) -> bool {
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
    fn end(&mut self, call: u64, dies: bool, answers: bool) {
        if dies {
            self.fleet.lose();
        } else {
            self.fleet.release(self.now);
        }
        if !answers {
            self.performance.missing += self.tasks(call).count() as u64;
        }
    }

    /// When a client that looks every so often will see what happens now.
    fn next_look(&self, every: Duration) -> Duration {
        let looks = self.now.as_nanos().div_ceil(every.as_nanos());
        every.saturating_mul(u32::try_from(looks).unwrap_or(u32::MAX))
    }
}

impl Contest {
    /// By PyWren's policy: one task per call; 64 threads send them off as asynchronous events and do not wait for them;
    /// results are looked for every 5 s; nothing is tried again.
    ///
    /// The provider queues the events and starts them as soon as workers are free, without loss, which is more than
    /// Lambda promises.
    pub fn pywren(&self) -> Performance {
        const THREADS: u32 = 64;
        const LOOK: Duration = Duration::from_secs(5);
        let mut world = World::new(self, 1);
        let mut threads = [Duration::ZERO; THREADS as usize];
        for call in 0..world.calls() {
            let thread = call as usize % threads.len();
            let (there, back) = (world.way(), world.way());
            world.at(threads[thread] + there, Event::Arrives(call));
            threads[thread] += there + back;
        }
        world.performance.calls = world.calls();
        let mut queue = VecDeque::new();
        world.at(self.ramp.every, Event::Step);
        while let Some(event) = world.next() {
            match event {
                Event::Arrives(call) => queue.push_back(call),
                Event::Ends { call, dies, answers } => {
                    world.end(call, dies, answers);
                    if answers {
                        world.performance.makespan = world.next_look(LOOK);
                    }
                }
                Event::Step if queue.is_empty() && world.events.is_empty() => {}
                Event::Step => world.at(world.now + self.ramp.every, Event::Step),
                Event::Noticed(_) => {}
            }
            while let Some(call) = queue.front().copied()
                && world.begin(call)
            {
                queue.pop_front();
            }
        }
        world.performance
    }

    /// By Lithops' policy: one call per chunk, and no more calls at once than the pool has workers; storage is looked
    /// at every 2 s, and only then does a call's place go to the next. A call that is refused is sent again after a
    /// whole number of seconds from 0 to 5. A call that is not heard of keeps its place for the time limit of 3 min and
    /// has failed then; nothing is run again.
    pub fn lithops(&self, pool: usize, chunk: u64) -> Performance {
        const LOOK: Duration = Duration::from_secs(2);
        const LIMIT: Duration = Duration::from_mins(3);
        let mut world = World::new(self, chunk);
        let calls = world.calls();
        let mut next = calls.min(pool as u64);
        for call in 0..next {
            let there = world.way();
            world.at(there, Event::Arrives(call));
        }
        while let Some(event) = world.next() {
            match event {
                Event::Arrives(call) => {
                    world.performance.calls += 1;
                    if !world.begin(call) {
                        world.performance.refused += 1;
                        let pause = Duration::from_secs(world.rng.u64(0..=5));
                        let way = world.way() + world.way();
                        world.at(world.now + pause + way, Event::Arrives(call));
                    }
                }
                Event::Ends { call, dies, answers } => {
                    world.end(call, dies, answers);
                    let seen = if answers { world.next_look(LOOK) } else { world.now + LIMIT };
                    if answers {
                        world.performance.makespan = seen;
                    }
                    world.at(seen, Event::Noticed(call));
                }
                Event::Noticed(_) if next < calls => {
                    let there = world.way();
                    world.at(world.now + there, Event::Arrives(next));
                    next += 1;
                }
                Event::Noticed(_) | Event::Step => {}
            }
        }
        world.performance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_nothing_again_misses_what_was_lost() {
        let contest = Contest::lambda(1, 10_000);
        for performance in [contest.pywren(), contest.lithops(1000, 1)] {
            // Three in a hundred.
            assert!((200..400).contains(&performance.missing), "{performance:?}");
            assert!(performance.makespan > contest.bound(), "{performance:?}");
        }
        // With a lost call all tasks of its chunk.
        assert!((200..400).contains(&contest.lithops(1000, 10).missing));
    }

    #[test]
    fn a_fixed_pool_does_not_grow_with_the_ramp() {
        let contest = Contest::lambda(1, 30_000);
        let (small, large) = (contest.lithops(1000, 1), contest.lithops(10_000, 1));
        assert!(small.makespan > large.makespan, "{small:?} {large:?}");
        assert_eq!(small.refused, 0);
        assert!(large.refused > 1000, "{large:?}");
    }
}

//! What other systems do with the same tasks and the same provider, as far as their policies go: no times for
//! serializing, for storage, or for Python are reckoned in.

use std::collections::VecDeque;
use std::time::Duration;

use super::world::{Event, World};
use super::{Contest, Performance};

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
                    world.end_for_good(call, dies, answers);
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
                    world.end_for_good(call, dies, answers);
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

//! What could be done at best.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::world::{Event, World};
use super::{Contest, Performance};

impl Contest {
    /// The makespan of a scheduler that knows the ramp in advance, meets no faults, and hands each worker the next task
    /// in the moment in which it is free. It does not know how long tasks will take: it takes them in order. Each
    /// worker has its cold start, and every step of the ramp is used to the full in the moment in which it comes.
    pub fn ideal(&self) -> Duration {
        let plan = self.plan();
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut free = BinaryHeap::new();
        let mut size = 0;
        let mut step = Duration::ZERO;
        let mut makespan = Duration::ZERO;
        for index in 0..self.tasks {
            // Workers of a step cannot be free before it.
            while size < self.ramp.most
                && free.peek().is_none_or(|Reverse(first): &Reverse<Duration>| step <= *first)
            {
                let there = self.ramp.at(step);
                free.extend((size..there).map(|_| Reverse(step + plan.cold_start.draw(&mut rng))));
                size = there;
                step += self.ramp.every;
            }
            let Some(Reverse(begins)) = free.pop() else { break };
            let ends = begins + self.time(index);
            makespan = makespan.max(ends);
            free.push(Reverse(ends));
        }
        makespan
    }

    /// The same where it meets the faults that the others meet, at the same rates: each costs what it cost until it
    /// happened and, where a worker goes with it, a place in the ramp. It notices each in that very moment, and the task
    /// goes to the next worker that is free.
    pub fn ideal_with_faults(&self) -> Performance {
        let mut world = World::new(self, 1);
        let mut queue: VecDeque<u64> = (0..world.calls()).collect();
        world.at(Duration::ZERO, Event::Step);
        let mut left = self.tasks;
        while left > 0
            && let Some(event) = world.next()
        {
            match event {
                Event::Ends { call, dies, answers } => {
                    world.end(dies);
                    if answers {
                        left -= 1;
                        world.performance.makespan = world.now;
                    } else {
                        queue.push_front(call);
                    }
                }
                Event::Step => world.at(world.now + self.ramp.every, Event::Step),
                Event::Arrives(_) | Event::Noticed(_) => {}
            }
            while let Some(call) = queue.front().copied()
                && world.begin(call)
            {
                world.performance.calls += 1;
                queue.pop_front();
            }
        }
        world.performance
    }

    /// What nobody can beat, not even who knows all times in advance and has no cold starts: the shortest time in which
    /// the ramp's workers can do all the work if it can be cut at will, or the longest task.
    pub fn bound(&self) -> Duration {
        let mut work = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for time in (0..self.tasks).map(|index| self.time(index)) {
            work += time;
            longest = longest.max(time);
        }
        self.ramp.shortest(work).max(longest)
    }
}

#[cfg(test)]
mod tests {
    use rustwren_chaos::ramp::Ramp;

    use super::*;
    use crate::sim::Times;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_ideal_is_just_above_the_bound_where_all_tasks_are_alike() {
        let ramp = Ramp { start: 10, step: 10, every: 10 * S, most: 30 };
        let contest = Contest {
            seed: 1,
            tasks: 900,
            times: Times::Constant(S),
            slow_workers: false,
            ramp,
            faults: true,
        };
        // Ten seconds with 10 and with 20, and 600 tasks for 30.
        assert_eq!(contest.bound(), 40 * S);
        let ideal = contest.ideal();
        assert!(ideal > 40 * S && ideal < 42 * S, "{ideal:?}");
    }

    #[test]
    fn one_long_task_is_what_it_takes() {
        let contest = Contest { times: Times::Constant(S * 60), ..Contest::lambda(1, 7) };
        assert_eq!(contest.bound(), 60 * S);
        assert!(contest.ideal() > 60 * S && contest.ideal() < 61 * S);
    }

    #[test]
    fn faults_take_their_time() {
        let contest = Contest::lambda(1, 20_000);
        let with_faults = contest.ideal_with_faults();
        assert!(with_faults.calls > 20_300 && with_faults.calls < 21_000, "{with_faults:?}");
        assert!(with_faults.makespan > contest.bound(), "{with_faults:?}");
    }
}

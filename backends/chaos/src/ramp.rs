//! How fast a provider lets a client grow: pure arithmetic over times that the caller brings.
//!
//! [`Ramp`] is what a provider publishes ("1 000 environments at once, 1 000 more every 10 s"); [`Fleet`] holds a
//! client's environments against it, invocation by invocation, and keeps those that are idle warm for a while.

use std::collections::VecDeque;
use std::time::Duration;

/// How many environments (containers that run one invocation at a time) a client may have.
///
/// The first one starts the ramp. Then, and at each `every` after it, the client may start so many new
/// environments; what it does not use of one step is not added to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    /// Environments that can be started at once in the beginning; at least 1.
    pub start: usize,
    /// New environments that can be started from each later step on. With 0 there are never more than `start`; those
    /// that are lost can be replaced.
    pub step: usize,
    /// The time between steps. Zero: as if all steps had been made.
    pub every: Duration,
    /// Environments that can be there at the same time; at least 1.
    pub most: usize,
}

impl Ramp {
    /// All environments at once.
    pub const fn flat(most: usize) -> Self {
        Self { start: most, step: most, every: Duration::ZERO, most }
    }

    /// AWS Lambda's for one function of an account that may run this many at once: 1 000 in the beginning, 1 000
    /// more every 10 seconds.
    pub const fn lambda(most: usize) -> Self {
        Self { start: 1000, step: 1000, every: Duration::from_secs(10), most }
    }

    /// The most environments that can be there when this much time has passed since the first was started.
    pub fn at(&self, since_first: Duration) -> usize {
        let steps = usize::try_from(self.steps(since_first)).unwrap_or(usize::MAX);
        self.start.max(1).saturating_add(self.step.saturating_mul(steps)).min(self.most.max(1))
    }

    /// When, counted from the first, so many environments can be there at the earliest; none if never.
    pub fn reaches(&self, environments: usize) -> Option<Duration> {
        if environments > self.most.max(1) {
            return None;
        }
        let missing = environments.saturating_sub(self.start.max(1));
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        if self.step == 0 {
            return None;
        }
        self.every.checked_mul(u32::try_from(missing.div_ceil(self.step)).ok()?)
    }

    /// The time that all environments together can have worked when this much has passed since the first was
    /// started, if starting takes no time and all are used to the full. Saturates.
    pub fn worker_time(&self, since_first: Duration) -> Duration {
        let mut total: u128 = 0;
        let mut at = Duration::ZERO;
        while at < since_first {
            let size = self.at(at);
            let last = size >= self.most.max(1) || self.step == 0;
            let end = if last { since_first } else { since_first.min(at.saturating_add(self.every)) };
            total = total.saturating_add(end.saturating_sub(at).as_nanos().saturating_mul(size as u128));
            at = end;
        }
        nanos(total)
    }

    /// The shortest time in which this much work can be done, if it can be cut at will, starting takes no time and
    /// all environments are used to the full: what no scheduler can beat. Saturates.
    pub fn shortest(&self, work: Duration) -> Duration {
        let mut left = work.as_nanos();
        let mut at = Duration::ZERO;
        loop {
            let size = self.at(at) as u128;
            let alone = nanos(left.div_ceil(size));
            let last = size >= self.most.max(1) as u128 || self.step == 0;
            if last || alone <= self.every {
                return at.saturating_add(alone);
            }
            left -= self.every.as_nanos() * size;
            at = at.saturating_add(self.every);
        }
    }

    /// How many steps have been made after the first, so long after it.
    fn steps(&self, since_first: Duration) -> u128 {
        since_first.as_nanos().checked_div(self.every.as_nanos()).unwrap_or(u128::MAX)
    }
}

/// A duration of so many nanoseconds, or the longest there is.
fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}

/// What a [`Fleet`] says to an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// An environment that has run something before takes it.
    Warm,
    /// A new environment is started for it.
    Cold,
    /// Too many: all environments are busy, and no new one may be started now.
    Refused {
        /// When the ramp lets new ones start; none if the fleet is as large as it may be.
        until: Option<Duration>,
    },
}

/// The environments that one client has at a provider. Times are those of one clock and never go back.
#[derive(Debug, Clone)]
pub struct Fleet {
    ramp: Ramp,
    /// How long an environment stays when nothing is sent to it.
    keep_warm: Duration,
    /// When the first environment was started.
    first: Option<Duration>,
    /// Steps made so far, and new environments that may still be started in this one.
    steps: u128,
    permits: usize,
    size: usize,
    /// Since when each idle environment is idle, ascending.
    idle: VecDeque<Duration>,
}

impl Fleet {
    /// No environments yet.
    pub fn new(ramp: Ramp, keep_warm: Duration) -> Self {
        Self { ramp, keep_warm, first: None, steps: 0, permits: 0, size: 0, idle: VecDeque::new() }
    }

    /// Finds an environment for an invocation that arrives at `now`. Unless it is refused, the environment is busy
    /// until [`release`](Self::release) or [`lose`](Self::lose).
    pub fn admit(&mut self, now: Duration) -> Admission {
        self.expire(now);
        // The one used last: so the others can expire when there is less to do.
        if self.idle.pop_back().is_some() {
            return Admission::Warm;
        }
        self.refill(now);
        if self.size >= self.ramp.most.max(1) {
            return Admission::Refused { until: None };
        }
        if self.permits == 0 {
            return Admission::Refused { until: self.next_step() };
        }
        self.permits -= 1;
        self.size += 1;
        Admission::Cold
    }

    /// An environment is done with its invocation and stays warm.
    pub fn release(&mut self, now: Duration) {
        self.idle.push_back(now);
    }

    /// A busy environment is gone.
    pub fn lose(&mut self) {
        self.size = self.size.saturating_sub(1);
        if self.ramp.step == 0 {
            self.permits += 1;
        }
    }

    /// Environments that are there, busy and idle.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Environments that run something.
    pub fn busy(&self) -> usize {
        self.size.saturating_sub(self.idle.len())
    }

    fn expire(&mut self, now: Duration) {
        while self.idle.front().is_some_and(|since| now.saturating_sub(*since) > self.keep_warm) {
            self.idle.pop_front();
            self.lose();
        }
    }

    fn refill(&mut self, now: Duration) {
        let Some(first) = self.first else {
            self.first = Some(now);
            self.permits = self.ramp.start.max(1);
            return;
        };
        if self.ramp.every.is_zero() {
            // Every step has been made and another is always due.
            self.permits = self.permits.max(self.ramp.step);
            return;
        }
        let steps = self.ramp.steps(now.saturating_sub(first));
        if steps > self.steps && self.ramp.step > 0 {
            self.steps = steps;
            // What was left of the last step is not added.
            self.permits = self.ramp.step;
        }
    }

    fn next_step(&self) -> Option<Duration> {
        let steps = u32::try_from(self.steps + 1).ok().filter(|_| self.ramp.step > 0)?;
        self.first?.checked_add(self.ramp.every.checked_mul(steps)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many of `count` invocations that arrive at once are taken.
    fn taken(fleet: &mut Fleet, now: Duration, count: usize) -> usize {
        (0..count).filter(|_| !matches!(fleet.admit(now), Admission::Refused { .. })).count()
    }

    #[test]
    fn lambda_grows_by_a_thousand_every_ten_seconds() {
        let ramp = Ramp::lambda(10_000);
        for (at, size) in [(0, 1000), (9, 1000), (10, 2000), (35, 4000), (90, 10_000), (1000, 10_000)] {
            assert_eq!(ramp.at(s(at)), size, "after {at} s");
        }
        assert_eq!(ramp.reaches(1), Some(s(0)));
        assert_eq!(ramp.reaches(1001), Some(s(10)));
        assert_eq!(ramp.reaches(10_000), Some(s(90)));
        assert_eq!(ramp.reaches(10_001), None);
        let mut fleet = Fleet::new(ramp, s(600));
        // It starts with the first invocation and not with the clock.
        let began = s(100);
        for (at, size) in [(0, 1000), (9, 0), (10, 1000), (11, 0), (20, 1000)] {
            assert_eq!(taken(&mut fleet, began + s(at), 5000), size, "after {at} s");
        }
        assert_eq!(fleet.admit(began + s(21)), Admission::Refused { until: Some(began + s(30)) });
        assert_eq!((fleet.size(), fleet.busy()), (3000, 3000));
    }

    #[test]
    fn what_is_not_used_is_not_saved() {
        let mut fleet = Fleet::new(Ramp::lambda(100_000), s(600));
        assert_eq!(taken(&mut fleet, s(0), 10), 10);
        assert_eq!(taken(&mut fleet, s(1000), 5000), 1000);
    }

    #[test]
    fn a_full_fleet_says_no_time() {
        let mut fleet = Fleet::new(Ramp::flat(2), s(600));
        assert_eq!(taken(&mut fleet, s(0), 5), 2);
        assert_eq!(fleet.admit(s(50)), Admission::Refused { until: None });
        fleet.lose();
        assert_eq!(fleet.admit(s(50)), Admission::Cold);
        fleet.release(s(51));
        assert_eq!(fleet.admit(s(52)), Admission::Warm);
    }

    #[test]
    fn a_ramp_that_never_grows_says_no_time() {
        let ramp = Ramp { start: 3, step: 0, every: s(1), most: 10 };
        let mut fleet = Fleet::new(ramp, s(600));
        assert_eq!(taken(&mut fleet, s(0), 5), 3);
        assert_eq!(fleet.admit(s(99)), Admission::Refused { until: None });
        fleet.lose();
        assert_eq!(taken(&mut fleet, s(100), 5), 1);
        assert_eq!((ramp.at(s(99)), ramp.reaches(3), ramp.reaches(4)), (3, Some(s(0)), None));
        assert_eq!(ramp.shortest(s(30)), s(10));
    }

    #[test]
    fn idle_environments_go_after_their_time_the_longest_idle_first() {
        let mut fleet = Fleet::new(Ramp::flat(10), s(60));
        assert_eq!(taken(&mut fleet, s(0), 3), 3);
        (1..=3).for_each(|at| fleet.release(s(at)));
        assert_eq!(fleet.admit(s(63)), Admission::Warm);
        assert_eq!((fleet.size(), fleet.busy()), (1, 1), "two were idle for more than a minute");
        assert_eq!(fleet.admit(s(63)), Admission::Cold);
    }

    #[test]
    fn the_shortest_time_for_some_work() {
        let ramp = Ramp::lambda(10_000);
        // 10 s with 1 000, 10 s with 2 000, 5 s with 3 000.
        assert_eq!(ramp.shortest(s(10_000 + 20_000 + 15_000)), s(25));
        assert_eq!(ramp.worker_time(s(25)), s(45_000));
        assert_eq!(ramp.shortest(s(100)), Duration::from_millis(100));
        assert_eq!(Ramp::flat(4).shortest(s(100)), s(25));
        assert_eq!((ramp.shortest(Duration::ZERO), ramp.worker_time(Duration::ZERO)), (s(0), s(0)));
        assert_eq!(Ramp::flat(1).shortest(Duration::MAX), Duration::MAX);
        assert_eq!(Ramp::flat(usize::MAX).worker_time(Duration::MAX), Duration::MAX);
    }

    fn ramps() -> impl Strategy<Value = Ramp> {
        (1..50_usize, 0..50_usize, 0..10_000_u64, 1..500_usize).prop_map(|(start, step, every, most)| Ramp {
            start,
            step,
            every: Duration::from_millis(every),
            most,
        })
    }

    proptest! {
        #[test]
        fn a_fleet_asked_all_the_time_is_what_its_ramp_says(ramp in ramps(), gaps in prop::collection::vec(1..5000_u64, 1..40)) {
            let mut fleet = Fleet::new(ramp, Duration::MAX);
            let (mut now, mut first) = (s(7), None);
            for gap in gaps {
                // Every step is used, whatever the gaps: it is asked at each one.
                let end = now + Duration::from_millis(gap);
                while now < end {
                    while fleet.admit(now) == Admission::Cold {
                        first.get_or_insert(now);
                    }
                    prop_assert_eq!(fleet.size(), ramp.at(now.saturating_sub(first.unwrap_or(now))));
                    now = match fleet.admit(now) {
                        Admission::Refused { until: Some(until) } if until > now => until.min(end),
                        _ => end,
                    };
                }
            }
        }

        #[test]
        fn any_history_keeps_the_limits(ramp in ramps(), steps in prop::collection::vec((0..4_u8, 0..3000_u64), 1..300)) {
            let mut fleet = Fleet::new(ramp, s(2));
            let (mut now, mut busy, mut first) = (s(0), 0_usize, None);
            let mut started = 0_usize;
            for (what, gap) in steps {
                now += Duration::from_millis(gap);
                match what {
                    0 if busy > 0 => { fleet.release(now); busy -= 1; }
                    1 if busy > 0 => { fleet.lose(); busy -= 1; }
                    _ => match fleet.admit(now) {
                        Admission::Warm => busy += 1,
                        Admission::Cold => { first.get_or_insert(now); started += 1; busy += 1; }
                        Admission::Refused { until } => {
                            prop_assert!(until.is_none_or(|until| until > now));
                            prop_assert!(until.is_some() || fleet.size() == ramp.most || ramp.step == 0);
                        }
                    },
                }
                prop_assert_eq!(fleet.busy(), busy);
                prop_assert!(fleet.size() <= ramp.most);
                prop_assert!(ramp.step > 0 || fleet.size() <= ramp.start);
                if !ramp.every.is_zero() && ramp.step > 0 {
                    // Environments that were ever started: those that are lost do not give their place in the step back.
                    let unlimited = Ramp { most: usize::MAX, ..ramp };
                    prop_assert!(started <= unlimited.at(now.saturating_sub(first.unwrap_or(now))));
                }
            }
        }

        #[test]
        fn the_shortest_time_is_just_enough(ramp in ramps(), work in 1..10_000_000_u64) {
            let work = Duration::from_millis(work);
            let time = ramp.shortest(work);
            prop_assert!(ramp.worker_time(time) >= work);
            prop_assert!(ramp.worker_time(time.saturating_sub(Duration::from_nanos(1))) < work);
        }

        #[test]
        fn a_size_is_reached_when_it_is_and_not_before(ramp in ramps(), size in 1..600_usize) {
            match ramp.reaches(size) {
                Some(at) => {
                    prop_assert!(ramp.at(at) >= size);
                    prop_assert!(at.is_zero() || ramp.at(at.saturating_sub(Duration::from_nanos(1))) < size);
                }
                None => prop_assert!(ramp.at(s(1_000_000_000)) < size),
            }
        }
    }
}

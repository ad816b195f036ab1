//! Backup tasks: when nothing is left to hand out, what the slowest workers still have is run a second time elsewhere.
//!
//! Policy. Once at most a fraction of the job's elements is unfinished and slots are free that no job wants, an
//! invocation is *slow* that has lasted longer than `factor` times what the median of the job's finished invocations
//! would have taken for as many elements. The unfinished elements of slow invocations are sent to free slots, the
//! slowest invocation's first, spread over several slots where there are more slots than slow invocations. The first
//! result of an element is its result; an invocation none of whose elements is needed any more is stopped. No element is
//! with more than two workers at a time, and a backup that comes to nothing is sent once more at most. A backup that is left
//! alone, since the slow invocation was given up, may be backed up itself; one that is left alone by a failure may not:
//! where an element takes its workers along there would be no end of that, and what fails is dealt with when nobody else
//! has it any more.

use std::collections::VecDeque;
use std::fmt;
use std::task::Context;
use std::time::Duration;

use super::flight::{Chunk, Flight};
use super::options::Backups;
use super::run::JobRun;
use crate::error::Error;

/// How often an invocation is backed up, when backups come back without a result.
const TRIES: u32 = 2;
/// Backups of backups of backups: so deep. Whoever brings so many workers to silence is dealt with like any other loss.
const DEPTH: u32 = 8;
/// Medians of fewer invocations say little.
const SAMPLES: u64 = 3;
/// Slow invocations are looked for this many times in the time that an invocation is expected to take.
const LOOKS: u32 = 8;
const LOOK_LEAST: Duration = Duration::from_millis(1);
/// A look at many takes its time: whatever happens meanwhile, the next is not before so long for each of them.
const LOOK_EACH: Duration = Duration::from_micros(10);
/// Invocations are not slow before they have lasted so many times what one costs beyond its elements.
const OVERHEADS: u32 = 4;

/// How long elements take, as a histogram of the time per element of whole invocations. The steps are an eighth of an
/// octave wide.
pub(super) struct Speeds {
    counts: Box<[u32; Self::STEPS]>,
    samples: u64,
}

impl fmt::Debug for Speeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speeds")
            .field("samples", &self.samples)
            .field("median", &self.median())
            .finish_non_exhaustive()
    }
}

impl Default for Speeds {
    fn default() -> Self {
        Self { counts: Box::new([0; Self::STEPS]), samples: 0 }
    }
}

impl Speeds {
    const STEPS: usize = 64 * 8;

    /// Learns that an invocation of so many elements has lasted so long.
    pub(super) fn observe(&mut self, lasted: Duration, elements: u32) {
        let nanos =
            (u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX) / u64::from(elements.max(1))).max(8);
        let octave = nanos.ilog2();
        let eighth = (nanos >> (octave - 3)) as usize & 7;
        let count = &mut self.counts[octave as usize * 8 + eighth];
        *count = count.saturating_add(1);
        self.samples += 1;
    }

    /// What an element takes in half of the invocations, to the upper end of its step.
    pub(super) fn median(&self) -> Option<Duration> {
        let mut left = self.samples.div_ceil(2);
        if self.samples < SAMPLES {
            return None;
        }
        for (step, count) in self.counts.iter().enumerate() {
            left = left.saturating_sub(u64::from(*count));
            if left == 0 {
                let (octave, eighth) = (step / 8, step as u64 % 8);
                let nanos = (u128::from(9 + eighth) << octave) >> 3;
                return Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
            }
        }
        None
    }
}

/// The backup tasks of one job.
#[derive(Debug)]
pub(super) struct BackupState {
    policy: Option<Policy>,
    pub(super) speeds: Speeds,
    /// Slow invocations without a backup, the slowest first.
    slow: VecDeque<u64>,
    /// When slow ones are looked for next; at once if not given.
    next_look: Option<Duration>,
    /// Not before this time.
    rests: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Policy {
    factor: f64,
    remaining: f64,
}

impl BackupState {
    pub(super) fn new(backups: Backups, stragglers: bool) -> Self {
        let backups = match backups {
            Backups::Auto if stragglers => Backups::ON,
            other => other,
        };
        let policy = match backups {
            Backups::After { factor, remaining } => Some(Policy { factor: factor.max(1.0), remaining }),
            Backups::Auto | Backups::Off => None,
        };
        Self {
            policy,
            speeds: Speeds::default(),
            slow: VecDeque::new(),
            next_look: None,
            rests: Duration::ZERO,
        }
    }

    /// Something has changed beside the passage of time.
    pub(super) fn look_again(&mut self) {
        self.next_look = self.next_look.map(|at| at.min(self.rests));
    }

    /// When slow ones are to be looked for next.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.next_look.filter(|at| *at < Duration::MAX)
    }

    /// Learns from an invocation that brought all its elements.
    pub(super) fn observe(&mut self, flight: &Flight, now: Duration) {
        if self.policy.is_some() {
            let since = flight.started.unwrap_or(flight.dispatched);
            self.speeds.observe(now.saturating_sub(since), flight.chunk.count);
        }
    }
}

impl JobRun {
    /// Sends off backups of slow invocations. Called when nothing else is left to send.
    pub(super) fn back_up(&mut self, cx: &Context<'_>, workers: usize) -> Result<(), Error> {
        let Some(policy) = self.backups.policy else { return Ok(()) };
        let (Some(median), Some(total)) = (self.backups.speeds.median(), self.progress.total) else {
            return Ok(());
        };
        let unfinished = total.saturating_sub(self.progress.finished());
        if !self.source_ended || unfinished == 0 || unfinished as f64 > policy.remaining * total as f64 {
            return Ok(());
        }
        if self.backups.next_look.is_none_or(|at| at <= self.now) {
            self.look_for_slow(policy, median);
        }
        self.send_backups(cx, workers)
    }

    fn look_for_slow(&mut self, policy: Policy, median: Duration) {
        let least = self.resources.invoker.limits().overhead.saturating_mul(OVERHEADS);
        let mut slow = Vec::new();
        let mut next = None;
        for flight in self.flights.values() {
            let has_twin = || flight.twins.iter().any(|twin| self.flights.contains_key(twin));
            if flight.backed_up >= TRIES || flight.depth >= DEPTH || flight.expired.is_some() || has_twin() {
                continue;
            }
            let since = flight.started.unwrap_or(flight.dispatched);
            let expected = median.mul_f64(policy.factor * f64::from(flight.chunk.count)).max(least);
            let late_at = since.saturating_add(expected);
            if late_at <= self.now {
                slow.push((late_at, flight.id));
            } else {
                next = Some(next.map_or(late_at, |next: Duration| next.min(late_at)));
            }
        }
        slow.sort_unstable();
        self.backups.slow = slow.into_iter().map(|(_, id)| id).collect();
        self.backups.rests = self.now + LOOK_EACH.saturating_mul(self.flights.len() as u32);
        let pause = self.now.saturating_add((median / LOOKS).max(LOOK_LEAST)).max(self.backups.rests);
        // Nothing else is slow before something leaves, or comes back without a result.
        self.backups.next_look = Some(next.map_or(Duration::MAX, |next| next.max(pause)));
    }

    fn send_backups(&mut self, cx: &Context<'_>, workers: usize) -> Result<(), Error> {
        let inline = self.resources.invoker.limits().max_inline_input;
        while let Some(&id) = self.backups.slow.front() {
            let free = self.share.spare(cx, self.now, workers);
            if free == 0 {
                if let Some(at) = self.share.next_change(self.now) {
                    self.wake_at(at);
                }
                return Ok(());
            }
            let parts = free.div_ceil(self.backups.slow.len());
            self.backups.slow.pop_front();
            let Some(slow) = self.flights.get(&id) else { continue };
            let left = slow.left(&self.done);
            let backups = self.parts_of(slow, &left, parts)?;
            if let Some(slow) = self.flights.get_mut(&id) {
                slow.backed_up += 1;
            }
            for chunk in backups.into_iter().take(free) {
                if self.in_flight_bytes > self.options.input_buffer || !self.affords(&chunk) {
                    return Ok(());
                }
                self.share.take_spare(self.now);
                self.stats.backups += u64::from(chunk.count);
                let backup = self.launch(chunk, inline, vec![id]);
                if let Some(slow) = self.flights.get_mut(&id) {
                    slow.twins.push(backup);
                }
            }
        }
        Ok(())
    }

    /// These elements of a flight, as about `parts` chunks of equal size; more where they do not lie together.
    fn parts_of(&self, flight: &Flight, left: &[(u32, u32)], parts: usize) -> Result<Vec<Chunk>, Error> {
        let count: u32 = left.iter().map(|(from, to)| to - from).sum();
        let size = (count as usize).div_ceil(parts.max(1)).max(1) as u32;
        let mut chunks = Vec::new();
        for &(from, to) in left {
            for (from, to, attempt) in self.by_attempt(&flight.chunk, from, to) {
                let mut at = from;
                while at < to {
                    let end = to.min(at + size);
                    let chunk = self.cut(&flight.chunk, at, end, flight.chunk.fruitless)?;
                    let alone = chunk.alone || attempt > chunk.attempt;
                    chunks.push(Chunk { attempt, alone, ..chunk });
                    at = end;
                }
            }
        }
        Ok(chunks)
    }

    /// Elements `from..to` of a chunk in runs of those that have failed equally often. Where an element is with two
    /// workers, one of them may have failed at it already.
    pub(super) fn by_attempt(&self, chunk: &Chunk, from: u32, to: u32) -> Vec<(u32, u32, u32)> {
        if self.failures.is_empty() {
            return vec![(from, to, chunk.attempt)];
        }
        let mut runs: Vec<(u32, u32, u32)> = Vec::new();
        for k in from..to {
            let failed = self.failures.get(&(chunk.first + u64::from(k))).map_or(0, Vec::len);
            let attempt = failed as u32 + 1;
            match runs.last_mut() {
                Some((_, end, of)) if *of == attempt => *end = k + 1,
                _ => runs.push((k, k + 1, attempt)),
            }
        }
        runs
    }

    /// The parts of a flight that is over which nobody else has: unfinished, and not with a twin.
    pub(super) fn orphans(&self, flight: &Flight) -> Vec<(u32, u32)> {
        self.held_by_no_twin(flight, flight.left(&self.done))
    }

    /// What of these parts of a flight no twin has.
    pub(super) fn held_by_no_twin(&self, flight: &Flight, parts: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
        let first = flight.chunk.first;
        let mut left = parts;
        for twin in flight.twins.iter().filter_map(|twin| self.flights.get(twin)) {
            let held: Vec<(u64, u64)> = twin.lacking(first, flight.chunk.end()).collect();
            let index = |(from, to): (u32, u32)| (first + u64::from(from), first + u64::from(to));
            let rest = left.into_iter().flat_map(|part| without(index(part), &held));
            left = rest.map(|(from, to)| ((from - first) as u32, (to - first) as u32)).collect();
        }
        left
    }

    /// Has none of these flights backed up: another that had the same elements has failed, and they may be why.
    pub(super) fn no_more_backups(&mut self, twins: &[u64]) {
        for twin in twins {
            if let Some(twin) = self.flights.get_mut(twin) {
                twin.backed_up = TRIES;
            }
        }
    }

    /// Whether one of these flights has the element as well.
    pub(super) fn is_held_by(&self, twins: &[u64], index: u64) -> bool {
        let mut twins = twins.iter().filter_map(|twin| self.flights.get(twin));
        twins.any(|twin| twin.lacking(index, index + 1).next().is_some())
    }

    /// Stops those of these flights that have nothing left to do.
    pub(super) fn stop_idle(&self, twins: &[u64]) {
        for twin in twins.iter().filter_map(|twin| self.flights.get(twin)) {
            if twin.left(&self.done).is_empty() {
                twin.abort.abort();
            }
        }
    }
}

/// What is left of a range without these, which are in order.
pub(super) fn without((from, to): (u64, u64), held: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut parts = Vec::new();
    let mut at = from;
    for &(start, stop) in held {
        if start > at && at < to {
            parts.push((at, start.min(to)));
        }
        at = at.max(stop);
    }
    if at < to {
        parts.push((at, to));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_median_is_that_of_the_invocations_within_an_eighth() {
        let mut speeds = Speeds::default();
        speeds.observe(5 * MS, 1);
        speeds.observe(1000 * MS, 1);
        assert_eq!(speeds.median(), None);
        // Ten elements in 60 ms.
        speeds.observe(60 * MS, 10);
        let median = speeds.median().unwrap();
        assert!(median >= 6 * MS && median < 7 * MS, "{median:?}");
        (0..10).for_each(|_| speeds.observe(Duration::ZERO, 1));
        assert!(speeds.median().unwrap() < Duration::from_nanos(10));
        (0..30).for_each(|_| speeds.observe(Duration::MAX, 1));
        assert!(speeds.median().unwrap() > Duration::from_secs(1_000_000));
    }

    #[test]
    fn backups_are_for_providers_whose_workers_differ_unless_told_otherwise() {
        let policy = |backups, stragglers| BackupState::new(backups, stragglers).policy;
        assert_eq!(policy(Backups::Auto, false), None);
        assert_eq!(policy(Backups::Auto, true), Some(Policy { factor: 2.0, remaining: 0.25 }));
        assert_eq!(policy(Backups::Off, true), None);
        let asked = Backups::After { factor: 0.5, remaining: 1.0 };
        assert_eq!(policy(asked, false), Some(Policy { factor: 1.0, remaining: 1.0 }));
    }

    proptest! {
        #[test]
        fn what_a_twin_holds_is_left_out(
            from in 0_u64..30, len in 0_u64..20,
            gaps in prop::collection::vec((1_u64..6, 1_u64..6), 0..5),
        ) {
            let mut held = Vec::new();
            let mut at = 0;
            for (skip, take) in gaps {
                held.push((at + skip, at + skip + take));
                at += skip + take;
            }
            let left: Vec<u64> =
                without((from, from + len), &held).into_iter().flat_map(|(a, b)| a..b).collect();
            let is_held = |k: &u64| held.iter().any(|(a, b)| (*a..*b).contains(k));
            prop_assert_eq!(left, (from..from + len).filter(|k| !is_held(k)).collect::<Vec<_>>());
        }
    }
}

//! What befalls one call: drawn when it arrives, from the seed and its number alone.

use std::time::Duration;

use fastrand::Rng;

use crate::delay::pareto;
use crate::plan::{ChaosPlan, StoragePlan};

/// Streams of chance that must not repeat each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Invocations,
    Detached,
    Storage,
}

/// The chance of one call. Calls have streams of their own, so that what one of them draws while it runs does not
/// depend on the others that run beside it.
pub(crate) fn chance(seed: u64, stream: Stream, number: u64) -> Rng {
    let stream = match stream {
        Stream::Invocations => 0x1,
        Stream::Detached => 0x2,
        Stream::Storage => 0x3,
    };
    // A round of wyrand after each part, so that neighbouring seeds and numbers have nothing in common.
    let mix = |value: u64, part: u64| Rng::with_seed(value.wrapping_add(part)).u64(..);
    Rng::with_seed(mix(mix(mix(0, seed), stream), number))
}

/// The one fault of an invocation that says how it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    Throttled,
    Transient,
    /// Never answered.
    Lost {
        runs: bool,
    },
    Crashed,
    CrashedAfter,
    /// This share of the elements is run, the rest is given back.
    HandedBack(f64),
}

/// What befalls one invocation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fate {
    pub(crate) trouble: Option<Trouble>,
    pub(crate) cold_start: Duration,
    pub(crate) there: Duration,
    pub(crate) back: Duration,
    /// A second run, so much later.
    pub(crate) duplicate: Option<Duration>,
    /// A straggler, slower by this factor.
    pub(crate) straggler: Option<f64>,
    pub(crate) ghost: bool,
    /// Of batches that are reported before the answer is lost, so many come through.
    pub(crate) batches: usize,
    /// What batches draw from as they come.
    pub(crate) rng: Rng,
}

impl Fate {
    /// Draws everything, whether it is wanted or not: so that one knob does not change what the others do.
    pub(crate) fn draw(plan: &ChaosPlan, mut rng: Rng) -> Self {
        let mut happens = |rate: f64| rng.f64() < rate;
        let throttled = happens(plan.throttled);
        let transient = happens(plan.transient);
        let lost = happens(plan.lost);
        let runs = happens(plan.lost_after);
        let crashed = happens(plan.crashed);
        let crashed_after = happens(plan.crashed_after);
        let handed_back = happens(plan.handed_back);
        let duplicated = happens(plan.duplicated);
        let straggler = happens(plan.stragglers);
        let ghost = happens(plan.ghosts);
        let share = rng.f64();
        let factor = plan.straggler_factor.max(1.0) * pareto(rng.f64(), 1.5);
        let later = plan.duplicate_delay.draw(&mut rng);
        let some = rng.usize(..4);
        let batches = if rng.bool() { 0 } else { some };
        let trouble = match () {
            () if throttled => Some(Trouble::Throttled),
            () if transient => Some(Trouble::Transient),
            () if lost => Some(Trouble::Lost { runs }),
            () if crashed => Some(Trouble::Crashed),
            () if crashed_after => Some(Trouble::CrashedAfter),
            () if handed_back => Some(Trouble::HandedBack(share)),
            () => None,
        };
        Self {
            trouble,
            cold_start: plan.cold_start.draw(&mut rng),
            there: plan.latency.draw(&mut rng),
            back: plan.latency.draw(&mut rng),
            duplicate: duplicated.then_some(later),
            straggler: straggler.then_some(factor),
            ghost,
            batches,
            rng,
        }
    }
}

/// What befalls one storage operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StorageFate {
    pub(crate) wait: Duration,
    pub(crate) throttled: bool,
    pub(crate) transient: bool,
    pub(crate) ambiguous: bool,
    /// After how many objects a listing fails that is to fail.
    pub(crate) after: usize,
}

impl StorageFate {
    pub(crate) fn draw(plan: &StoragePlan, mut rng: Rng) -> Self {
        let mut happens = |rate: f64| rng.f64() < rate;
        let slow = happens(plan.slow);
        let throttled = happens(plan.throttled);
        let transient = happens(plan.transient);
        let ambiguous = happens(plan.ambiguous);
        let wait = plan.slow_by.draw(&mut rng);
        let after = if rng.bool() { 0 } else { rng.usize(..1000) };
        Self { wait: if slow { wait } else { Duration::ZERO }, throttled, transient, ambiguous, after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(plan: &ChaosPlan, seed: u64) -> Vec<Fate> {
        (0..2_000).map(|number| Fate::draw(plan, chance(seed, Stream::Invocations, number))).collect()
    }

    #[test]
    fn a_seed_and_a_number_are_a_fate() {
        let plan = ChaosPlan::flaky();
        assert_eq!(fates(&plan, 7), fates(&plan, 7));
        assert_ne!(fates(&plan, 7), fates(&plan, 8));
        let storage = |number| StorageFate::draw(&StoragePlan::flaky(), chance(7, Stream::Storage, number));
        assert_eq!((0..100).map(storage).collect::<Vec<_>>(), (0..100).map(storage).collect::<Vec<_>>());
    }

    #[test]
    fn streams_and_neighbours_have_nothing_in_common() {
        let mut seen = std::collections::HashSet::new();
        for stream in [Stream::Invocations, Stream::Detached, Stream::Storage] {
            for seed in 0..50 {
                for number in 0..50 {
                    assert!(seen.insert(chance(seed, stream, number).u64(..)), "{stream:?} {seed} {number}");
                }
            }
        }
    }

    #[test]
    fn rates_are_shares() {
        let plan = ChaosPlan { throttled: 0.1, lost: 0.2, duplicated: 0.3, ..ChaosPlan::calm() };
        let all = fates(&plan, 1);
        let share = |of: fn(&Fate) -> bool| all.iter().filter(|fate| of(fate)).count() as f64 / 2_000.0;
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.03, "{found} {expected}");
        near(share(|fate| fate.trouble == Some(Trouble::Throttled)), 0.1);
        near(share(|fate| matches!(fate.trouble, Some(Trouble::Lost { .. }))), 0.9 * 0.2);
        near(share(|fate| fate.trouble == Some(Trouble::Lost { runs: true })), 0.9 * 0.1);
        near(share(|fate| fate.duplicate.is_some()), 0.3);
        near(share(|fate| fate.trouble.is_none()), 0.9 * 0.8);
        near(share(|fate| fate.ghost || fate.straggler.is_some()), 0.0);
    }

    #[test]
    fn one_knob_does_not_change_what_the_others_do() {
        let plan = ChaosPlan::flaky();
        let more = ChaosPlan { throttled: 0.9, ghosts: 1.0, ..plan.clone() };
        for (one, other) in fates(&plan, 3).into_iter().zip(fates(&more, 3)) {
            assert_eq!(
                (one.duplicate, one.straggler, one.cold_start),
                (other.duplicate, other.straggler, other.cold_start)
            );
            assert!(other.trouble == one.trouble || other.trouble == Some(Trouble::Throttled));
        }
    }

    #[test]
    fn nothing_goes_wrong_in_a_calm_plan() {
        for fate in fates(&ChaosPlan::calm(), 5) {
            assert_eq!((fate.trouble, fate.duplicate, fate.straggler, fate.ghost), (None, None, None, false));
            assert_eq!(fate.cold_start + fate.there + fate.back, Duration::ZERO);
        }
        for number in 0..2_000 {
            let fate = StorageFate::draw(&StoragePlan::calm(), chance(5, Stream::Storage, number));
            assert!(!fate.throttled && !fate.transient && !fate.ambiguous && fate.wait.is_zero(), "{fate:?}");
        }
    }
}

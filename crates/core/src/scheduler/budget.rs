//! What a job may cost, and what it has cost.
//!
//! Before anything is sent, the worst case of what is under way counts as if it were spent: an invocation takes a slot, a
//! unit of the invocations and as much time and money as its worker may use up at most. What it really took replaces
//! that when it is over. Of an invocation that ended without a reply nobody knows what it took. As far as it may go on
//! for all that is known here, its worst case stays *held*.

use std::time::Duration;

use super::flight::{Chunk, Flight};
use super::options::Budget;
use super::run::JobRun;
use super::stats::JobStats;
use crate::durable::Spent;
use crate::error::{Error, ErrorKind};
use crate::invoker::{JobSpec, Limits};
use crate::price::{Price, Usd};

/// Time of workers, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Charge {
    pub(super) time: Duration,
    pub(super) cost: Usd,
}

impl Charge {
    fn add(&mut self, other: Self) {
        self.time = self.time.saturating_add(other.time);
        self.cost += other.cost;
    }

    fn remove(&mut self, other: Self) {
        *self = self.without(other);
    }

    fn without(self, other: Self) -> Self {
        Self { time: self.time.saturating_sub(other.time), cost: self.cost - other.cost }
    }

    /// `self * part / whole`; all of it if `whole` is 0.
    pub(super) fn share(self, part: u32, whole: u32) -> Self {
        let share = if whole == 0 { 1.0 } else { f64::from(part.min(whole)) / f64::from(whole) };
        Self { time: self.time.mul_f64(share), cost: self.cost.share(part.into(), whole.into()) }
    }
}

impl Budget {
    /// Whether time or money is limited, so that it matters how long an invocation may take.
    fn limits_time(&self) -> bool {
        self.worker_time.is_some() || self.cost.is_some()
    }

    /// These limits, and where there is none that of another.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            invocations: self.invocations.or(other.invocations),
            worker_time: self.worker_time.or(other.worker_time),
            cost: self.cost.or(other.cost),
        }
    }

    /// What is left of it after another job has used up so much.
    pub(crate) fn minus(self, stats: &JobStats) -> Self {
        Self {
            invocations: self.invocations.map(|most| most.saturating_sub(stats.taken())),
            worker_time: self.worker_time.map(|most| most.saturating_sub(stats.worker_time)),
            cost: self.cost.map(|most| most - stats.cost),
        }
    }

    /// An error unless it can be kept to: the worst case of an invocation must be known.
    pub(crate) fn check(&self, limits: &Limits, timeout: Option<Duration>, label: &str) -> Result<(), Error> {
        if self.cost.is_some() && limits.price.is_none() {
            let message = format!(
                "job {label} has a budget in dollars, and what its workers cost is not known: there is no price"
            );
            return Err(Error::new(ErrorKind::Config, message).with_hint(
                "set `price_per_second` in [compute] of the configuration, or limit `max_worker_time` or \
                 `max_invocations` instead",
            ));
        }
        if self.limits_time() && timeout.is_none() && limits.max_duration.is_none() {
            let message = format!(
                "job {label} has a budget in dollars or in workers' time, and nothing limits how long one of its \
                 invocations may take"
            );
            return Err(Error::new(ErrorKind::Config, message).with_hint(
                "give the job a `.timeout(..)`, or set `timeout` in [job] or `max_duration` in [compute] of the \
                 configuration",
            ));
        }
        Ok(())
    }
}

/// The books of one job's budget.
#[derive(Debug)]
pub(super) struct Purse {
    limits: Budget,
    price: Option<Price>,
    startup: Duration,
    stops_when_dropped: bool,
    /// Worst cases of what is under way.
    reserved: Charge,
    /// What invocations that ended without a reply may go on to take.
    held: Charge,
}

impl Purse {
    pub(super) fn new(budget: Budget, limits: &Limits) -> Self {
        Self {
            limits: budget,
            price: limits.price,
            startup: limits.startup,
            stops_when_dropped: limits.stops_when_dropped,
            reserved: Charge::default(),
            held: Charge::default(),
        }
    }

    /// Whether an invocation's time has to be known beforehand, so that it stays with one worker.
    pub(super) fn limits_time(&self) -> bool {
        self.limits.limits_time()
    }

    fn charge(&self, time: Duration) -> Charge {
        Charge { time, cost: self.price.map_or(Usd::ZERO, |price| price.cost(time)) }
    }

    /// Whether one more invocation that may cost so much is within the limits.
    fn affords(&self, stats: &JobStats, worst: Charge) -> bool {
        let mut all = Charge { time: stats.worker_time, cost: stats.cost };
        all.add(self.reserved);
        all.add(self.held);
        all.add(worst);
        self.limits.invocations.is_none_or(|most| stats.taken() < most)
            && self.limits.worker_time.is_none_or(|most| all.time <= most)
            && self.limits.cost.is_none_or(|most| all.cost <= most)
    }

    /// An equal share of what is left for each of so many.
    fn share(&self, stats: &JobStats, workers: usize) -> Charge {
        let left = |most: Option<u128>, used: u128| {
            most.map_or(u64::MAX, |most| {
                u64::try_from(most.saturating_sub(used) / workers.max(1) as u128).unwrap_or(u64::MAX)
            })
        };
        let used = |spent: u128, reserved: u128, held: u128| spent + reserved + held;
        let time =
            used(stats.worker_time.as_nanos(), self.reserved.time.as_nanos(), self.held.time.as_nanos());
        let cost =
            used(stats.cost.nanos().into(), self.reserved.cost.nanos().into(), self.held.cost.nanos().into());
        Charge {
            time: Duration::from_nanos(left(self.limits.worker_time.map(|most| most.as_nanos()), time)),
            cost: Usd::from_nanos(left(self.limits.cost.map(|most| most.nanos().into()), cost)),
        }
    }

    /// An earlier driver of the job may have left something under way.
    pub(super) fn hold(&mut self, spent: &Spent) {
        self.held.add(Charge { time: spent.held_time, cost: Usd::from_micros(spent.held_micro_usd) });
    }

    /// An invocation with this worst case leaves.
    pub(super) fn reserve(&mut self, worst: Charge) {
        self.reserved.add(worst);
    }

    /// An invocation with this worst case is over.
    pub(super) fn release(&mut self, worst: Charge) {
        self.reserved.remove(worst);
    }
}

impl JobRun {
    /// The most that an invocation of so many elements may cost; nothing where that does not matter.
    pub(super) fn worst(&self, count: u32, concurrency: u32) -> Charge {
        if !self.purse.limits_time() {
            return Charge::default();
        }
        let longest = self.leases.longest(count, concurrency).unwrap_or(Duration::MAX);
        self.purse.charge(longest.saturating_add(self.purse.startup))
    }

    /// What it has used up, for the next driver of the job.
    pub(super) fn spent(&self) -> Spent {
        let Purse { reserved, held, .. } = self.purse;
        Spent {
            held_time: reserved.time.saturating_add(held.time),
            held_micro_usd: (reserved.cost + held.cost).micros(),
            ..self.stats.spent()
        }
    }

    /// Whether another invocation, of one element at least, is within the budget.
    pub(super) fn affords_one(&self) -> bool {
        self.purse.affords(&self.stats, self.worst(1, 1))
    }

    /// Whether a backup of this chunk is within the budget.
    pub(super) fn affords(&self, chunk: &Chunk) -> bool {
        let worst = self.worst(chunk.count, self.concurrency_of(chunk));
        self.purse.affords(&self.stats, worst)
    }

    /// How many of so many elements the budget has room for in one invocation, beside as many others as there are
    /// workers. One is always within it.
    pub(super) fn within_budget(&self, count: u32, concurrency: u32, workers: usize) -> u32 {
        if !self.purse.limits_time() {
            return count;
        }
        let share = self.purse.share(&self.stats, workers);
        let fits = |count: u32| {
            let worst = self.worst(count, concurrency);
            worst.time <= share.time && worst.cost <= share.cost
        };
        // The most elements that fit: more of them never cost less.
        let (mut most, mut too_many) = (1, count.saturating_add(1));
        while most + 1 < too_many {
            let middle = most + (too_many - most) / 2;
            if fits(middle) { most = middle } else { too_many = middle }
        }
        most
    }

    /// Whether elements wait that the budget has no room for, and nothing is left that could make room.
    pub(super) fn is_spent(&self) -> bool {
        self.flights.is_empty()
            && self.fetches.is_empty()
            && !self.affords_one()
            && self.has_work()
            && self.is_kept()
    }

    /// Whether any element that is known of has still to be run.
    pub(super) fn has_work(&self) -> bool {
        !self.waiting.is_empty()
            || self.backlog.runs().any(|(first, count)| !self.done.covers(first, first + u64::from(count)))
    }

    /// An invocation is over that took its worker so long.
    pub(super) fn charge(&mut self, flight: &mut Flight, time: Duration) {
        let charge = self.purse.charge(time);
        self.stats.worker_time = self.stats.worker_time.saturating_add(charge.time);
        self.stats.cost += charge.cost;
        let brought = flight.received.count();
        flight.wasted = charge.share(brought - flight.useful, brought);
        self.stats.wasted = self.stats.wasted.saturating_add(flight.wasted.time);
        self.stats.wasted_cost += flight.wasted.cost;
    }

    /// An invocation is over, and nobody says how long it took its worker.
    pub(super) fn charge_unknown(&mut self, flight: &mut Flight) {
        let longest = self.leases.longest(flight.chunk.count, flight.concurrency);
        let most = longest.map_or(Duration::MAX, |longest| longest.saturating_add(self.purse.startup));
        let since = flight.started.unwrap_or(flight.dispatched);
        let time = self.now.saturating_sub(since).min(most);
        self.charge(flight, time);
        if self.purse.limits_time() {
            let until = if self.purse.stops_when_dropped {
                self.now.saturating_sub(flight.dispatched).min(most)
            } else {
                most
            };
            let held = self.purse.charge(until).without(self.purse.charge(time));
            self.purse.held.add(held);
        }
    }

    /// Late results of an invocation were of use after all: a part of what it took was not wasted.
    pub(super) fn unwaste(&mut self, charge: Charge) {
        self.stats.wasted = self.stats.wasted.saturating_sub(charge.time);
        self.stats.wasted_cost = self.stats.wasted_cost - charge.cost;
    }

    /// The error with which a job ends that its budget does not let go on.
    pub(super) fn budget_error(&self) -> Error {
        let Purse { limits, held, .. } = &self.purse;
        let worst = self.worst(1, 1);
        let (what, raise) = match limits {
            Budget { invocations: Some(most), .. } if self.stats.taken() >= *most => {
                (format!("{} of {most} invocations are used up", self.stats.taken()), "max_invocations")
            }
            Budget { worker_time: Some(most), .. }
                if self.stats.worker_time.saturating_add(held.time).saturating_add(worst.time) > *most =>
            {
                let spent = seconds(self.stats.worker_time);
                let held = also(held.time > Duration::ZERO, || seconds(held.time));
                let (most, worst) = (seconds(*most), seconds(worst.time));
                let what = format!(
                    "{spent} of {most} of workers' time are used up{held}, and another invocation may take {worst}"
                );
                (what, "max_worker_time")
            }
            Budget { cost, .. } => {
                let (spent, most) = (self.stats.cost, cost.unwrap_or_default());
                let held = also(held.cost > Usd::ZERO, || held.cost.to_string());
                let worst = worst.cost;
                let what =
                    format!("{spent} of {most} are spent{held}, and another invocation may cost {worst}");
                (what, "budget_usd")
            }
        };
        let done = self.progress.done;
        let of = self.progress.total.map_or_else(String::new, |total| format!(" of {total}"));
        let message = format!("job {} stops at its budget with {done}{of} results: {what}", self.spec.label);
        Error::new(ErrorKind::Budget, message).with_hint(format!(
            "raise it with `.{raise}(..)`, or with `{raise}` in [job] of the configuration"
        ))
    }

    /// An error unless the budget can be kept to.
    pub(super) fn check_budget(&self) -> Result<(), Error> {
        let JobSpec { task_timeout, label, .. } = &*self.spec;
        self.options.budget.check(self.resources.invoker.limits(), *task_timeout, label)
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_mins(2) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{:.0} s", time.as_secs_f64())
    }
}

fn also(any: bool, held: impl Fn() -> String) -> String {
    if any { format!(" (and {} may be by workers that were given up)", held()) } else { String::new() }
}

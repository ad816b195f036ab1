//! The provider's book: which elements are where, what they were charged with, and whether the scheduler keeps to
//! its promises. What it breaks is noted and not panicked about, so that a run ends in order and can be replayed.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use rustwren_core::failure::FailureKind;
use rustwren_core::invoker::{Invocation, Limits};
use rustwren_core::price::{Price, Usd};
use rustwren_core::scheduler::{Backups, Budget, JobOptions};

/// Bytes of inputs that may be taken ahead of dispatch, beside the last block.
const AHEAD: usize = 8 << 20;

/// What the book knows of one element.
#[derive(Debug, Default, Clone)]
pub struct Element {
    /// The invocations that hold it and have not reported that it failed there.
    pub holders: Vec<u64>,
    /// Whether its result, or its final failure, has been reported.
    pub concluded: bool,
    /// When its result was reported, if it has one.
    pub concluded_at: Option<Duration>,
    /// The failed attempts that were reported, first to last.
    pub charged: Vec<FailureKind>,
    /// Invocations in a row that brought nothing.
    pub fruitless: u32,
    /// How often it was sent.
    pub dispatched: u32,
    /// Whether the job's holder gave it up.
    pub cancelled: bool,
    /// Whether it is not known here what was made of a result, of a list that it was in.
    pub unsure: bool,
}

/// What the book knows of one job.
#[derive(Debug, Default)]
pub struct Account {
    /// What the job was told; nothing is checked against options for jobs that were not announced.
    pub options: Option<JobOptions>,
    /// Its elements that have been sent at least once.
    pub elements: HashMap<u64, Element>,
    /// Invocations under way.
    pub under_way: usize,
    /// When the invocations that run will stop.
    running: Vec<Duration>,
    /// Invocations that were not refused, and what they took.
    taken: u64,
    time: Duration,
    cost: Usd,
    /// Most invocations that ran at once.
    pub most_running: usize,
    /// Whether results that are not taken are allowed to add up.
    pub unbounded: bool,
    /// Whether it was told to stop.
    pub cancelled: bool,
    under_way_bytes: usize,
    /// Bytes of inputs that were taken from their source and never sent.
    ahead: usize,
    /// Result bytes reported before the moment `at`, and in it.
    before: usize,
    now: usize,
    at: Duration,
    released: usize,
}

impl Account {
    fn retries_after(&self, kind: &FailureKind) -> u32 {
        self.options.as_ref().map_or(u32::MAX, |options| options.retry.retries_after(kind))
    }

    /// What of the job's budget does not hold, if each invocation under way takes so much.
    fn over_budget(&self, worst: Option<(Duration, Usd)>) -> Option<String> {
        let Budget { invocations, worker_time, cost } = self.options.as_ref()?.budget;
        let (mut time, mut money) = (self.time, self.cost);
        for (longest, dearest) in worst.iter().cycle().take(self.under_way) {
            time += *longest;
            money += *dearest;
        }
        let over = invocations.is_some_and(|most| self.taken > most)
            || worker_time.is_some_and(|most| time > most)
            || cost.is_some_and(|most| money > most);
        over.then(|| {
            let Self { taken, under_way, .. } = self;
            format!(
                "over its budget with {taken} invocations, {under_way} of them under way, {time:?} and {money}"
            )
        })
    }

    /// Whether some element's bad luck is reason enough to end the job as unavailable.
    pub fn out_of_patience(&self) -> bool {
        let patience = self.options.as_ref().map_or(u32::MAX, |options| options.patience);
        self.elements.values().any(|element| element.fruitless > patience)
    }
}

/// The book.
#[derive(Debug)]
pub struct Ledger {
    concurrency: usize,
    stragglers: bool,
    /// The most that an invocation may take, as far as that is known.
    longest: Option<Duration>,
    price: Option<Price>,
    most: usize,
    under_way: usize,
    accounts: BTreeMap<String, Account>,
    violations: Vec<String>,
    trace: Option<Vec<String>>,
    invocations: u64,
    /// Whether the scheduler's promises are somebody else's to check.
    lenient: bool,
}

impl Ledger {
    /// What violations in a trace begin with.
    pub(super) const MARK: &str = "!!!";

    /// An empty book of a provider with these limits; `trace` keeps a line for each event.
    pub fn new(limits: &Limits, trace: bool) -> Self {
        Self {
            concurrency: limits.concurrency,
            stragglers: limits.stragglers,
            longest: limits.max_duration.map(|longest| longest + limits.startup),
            price: limits.price,
            most: limits.concurrency * (1 + limits.pipelining),
            under_way: 0,
            accounts: BTreeMap::new(),
            violations: Vec::new(),
            trace: trace.then(Vec::new),
            invocations: 0,
            lenient: false,
        }
    }

    /// Whether somebody else checks what the scheduler promises, because it is not known here what that was told.
    /// Only the limits of the provider are held then. What held before.
    pub(super) fn leave_to_others(&mut self, lenient: bool) -> bool {
        std::mem::replace(&mut self.lenient, lenient)
    }

    /// Has a job's options held.
    pub fn announce(&mut self, job: &str, options: &JobOptions) {
        self.account(job).options = Some(options.clone());
    }

    /// Begins a job's account anew: another scheduler of the same client runs it now, and none of its invocations is
    /// under way.
    pub fn forget(&mut self, job: &str, options: &JobOptions) {
        self.accounts.remove(job);
        self.announce(job, options);
    }

    /// A job's account, opened if need be.
    pub fn account(&mut self, job: &str) -> &mut Account {
        if !self.accounts.contains_key(job) {
            self.accounts.insert(job.to_owned(), Account::default());
        }
        self.accounts.get_mut(job).unwrap_or_else(|| unreachable!("it was just inserted"))
    }

    /// All promises broken so far.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Notes a broken promise.
    pub fn violation(&mut self, what: impl Into<String>) {
        let what = what.into();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{} {what}", Self::MARK));
        }
        if self.violations.len() < 20 {
            self.violations.push(what);
        }
    }

    /// Notes an event, if a trace is kept.
    pub fn note(&mut self, now: Duration, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>14.6} {}", now.as_secs_f64(), what()));
        }
    }

    /// The trace so far, if it is kept.
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Invocations that arrived.
    pub fn invocations(&self) -> u64 {
        self.invocations
    }

    /// Invocations under way.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// An invocation leaves the client. Its number, from 1: unlike its id the same in every run.
    pub fn dispatched(&mut self, invocation: &Invocation, now: Duration) -> u64 {
        self.invocations += 1;
        self.under_way += 1;
        let number = self.invocations;
        let Invocation { first, count, attempt, .. } = *invocation;
        self.note(now, || format!("#{number} {} {first}+{count} attempt {attempt} sent", invocation.job.id));
        if self.under_way > self.most {
            let (under_way, most) = (self.under_way, self.most);
            self.violation(format!("#{number}: {under_way} invocations under way, {most} allowed"));
        }
        let mut broken = Vec::new();
        let (concurrency, stragglers) = (self.concurrency, self.stragglers);
        let worst = self.longest.map(|longest| (longest, self.cost(longest)));
        let bytes = invocation.inputs.len() as usize;
        let account = self.account(&invocation.job.id);
        account.under_way += 1;
        account.taken += 1;
        broken.extend(account.over_budget(worst));
        account.tick(now);
        let backups = match account.options.as_ref().map(|options| options.backups) {
            Some(Backups::Auto) => stragglers,
            Some(Backups::After { .. }) => true,
            Some(Backups::Off) | None => false,
        };
        let mut fresh = false;
        for index in first..first + u64::from(count) {
            let element = account.elements.entry(index).or_default();
            fresh |= element.dispatched == 0;
            element.dispatched += 1;
            if element.holders.len() > usize::from(backups) {
                let holders = &element.holders;
                broken.push(format!("element {index} is under way already: {holders:?}"));
            }
            // An invocation that was made in the very moment of the report had left by then.
            if element.concluded && element.concluded_at != Some(now) && !element.unsure {
                broken.push(format!("element {index} is sent again after its end was reported"));
            }
            if element.charged.len() + 1 != attempt as usize && !element.unsure {
                let charged = &element.charged;
                broken
                    .push(format!("element {index} is sent as attempt {attempt} after failures {charged:?}"));
            }
            element.holders.push(number);
        }
        if let Some(options) = &account.options {
            let workers = options.workers.unwrap_or(usize::MAX).max(1);
            if workers < concurrency && account.under_way > workers {
                broken.push(format!("{} invocations under way with {workers} workers", account.under_way));
            }
            if account.under_way_bytes > options.input_buffer {
                let buffer = options.input_buffer;
                broken.push(format!(
                    "sent while {} input bytes of {buffer} were under way",
                    account.under_way_bytes
                ));
            }
            let undelivered = account.before.saturating_sub(account.released);
            if fresh && !account.unbounded && undelivered > options.result_buffer {
                let buffer = options.result_buffer;
                broken.push(format!(
                    "new elements sent while {undelivered} result bytes of {buffer} were not taken"
                ));
            }
        }
        account.under_way_bytes += bytes;
        // Elements are sent for the first time together, as the source gave them.
        if fresh {
            account.ahead = account.ahead.saturating_sub(bytes);
        }
        if self.lenient {
            broken.clear();
        }
        for what in broken {
            self.violation(format!("#{number} of {}: {what}", invocation.job.id));
        }
        number
    }

    /// An invocation begins to run, until `ends` at the latest.
    pub fn started(&mut self, job: &str, now: Duration, ends: Duration) {
        if self.lenient || ends <= now {
            // It takes no time, so it is beside no other.
            return;
        }
        let concurrency = self.concurrency;
        let account = self.account(job);
        // One that stops at this moment may not have had its turn yet.
        account.running.retain(|end| *end > now);
        account.running.push(ends);
        let running = account.running.len();
        account.most_running = account.most_running.max(running);
        let workers = account.options.as_ref().and_then(|options| options.workers).unwrap_or(usize::MAX);
        if running > workers.clamp(1, concurrency) {
            self.violation(format!("{job}: {running} invocations run with {workers} workers"));
        }
    }

    /// An invocation that was to run until `ends` has stopped.
    pub fn stopped(&mut self, job: &str, ends: Duration) {
        let running = &mut self.account(job).running;
        if let Some(index) = running.iter().position(|end| *end == ends) {
            running.swap_remove(index);
        }
    }

    /// An invocation was refused: it took nothing.
    pub fn refused(&mut self, job: &str) {
        self.account(job).taken -= 1;
    }

    /// An invocation has taken a worker so long. A provider ends and charges none that lasts longer than it may.
    pub fn spent(&mut self, job: &str, time: Duration) {
        let time = self.longest.map_or(time, |longest| time.min(longest));
        let cost = self.cost(time);
        let account = self.account(job);
        account.time += time;
        account.cost += cost;
        let over = account.over_budget(None);
        if let Some(over) = over.filter(|_| !self.lenient) {
            self.violation(format!("{job}: {over}"));
        }
    }

    fn cost(&self, time: Duration) -> Usd {
        self.price.map_or(Usd::ZERO, |price| price.cost(time))
    }

    /// An invocation is over, one way or the other.
    pub fn ended(&mut self, number: u64, invocation: &Invocation) {
        self.under_way -= 1;
        let bytes = invocation.inputs.len() as usize;
        let account = self.account(&invocation.job.id);
        account.under_way -= 1;
        account.under_way_bytes -= bytes;
        for index in invocation.first..invocation.first + u64::from(invocation.count) {
            let element = account.elements.entry(index).or_default();
            element.holders.retain(|holder| *holder != number);
        }
    }

    /// An element's result was reported, by an invocation under way or one that was given up.
    pub fn done(&mut self, job: &str, index: u64, bytes: usize, now: Duration) {
        let account = self.account(job);
        let element = account.elements.entry(index).or_default();
        if !element.concluded {
            element.concluded = true;
            element.concluded_at = Some(now);
            account.tick(now);
            account.now += bytes;
        }
    }

    /// A list's result was reported by invocation `number`: it is that of all its elements, or of none if one of them
    /// has a result already. `sure` says that it came in time and needs no fetching.
    pub(super) fn listed(
        &mut self,
        job: &str,
        list: Range<u64>,
        bytes: usize,
        now: Duration,
        (number, sure): (u64, bool),
    ) {
        let account = self.account(job);
        let known = |index: u64| account.elements.get(&index);
        let sure = sure && !list.clone().filter_map(known).any(|element| element.unsure || element.cancelled);
        let whole = !list.clone().filter_map(known).any(|element| element.concluded);
        for index in list.clone() {
            let element = account.elements.entry(index).or_default();
            element.unsure |= !sure;
            if sure && whole {
                element.concluded = true;
                element.concluded_at = Some(now);
            } else {
                element.holders.retain(|holder| *holder != number);
            }
        }
        if sure && whole {
            account.tick(now);
            account.now += bytes;
        }
    }

    /// An element's result was reported to be where it is not, by invocation `number`.
    pub fn misplaced(&mut self, job: &str, index: u64, number: u64) {
        let element = self.account(job).elements.entry(index).or_default();
        element.holders.retain(|holder| *holder != number);
    }

    /// A failed attempt was reported by this invocation, which has a `number`. One at an element whose end is known costs
    /// nothing, and neither does the same attempt with another worker.
    pub fn charge(&mut self, invocation: &Invocation, index: u64, kind: FailureKind, number: u64) {
        let account = self.account(&invocation.job.id);
        let retries = account.retries_after(&kind);
        let element = account.elements.entry(index).or_default();
        element.holders.retain(|holder| *holder != number);
        if element.concluded || element.charged.len() >= invocation.attempt as usize {
            return;
        }
        element.charged.push(kind);
        element.concluded |= element.charged.len() as u64 > u64::from(retries);
    }

    /// An invocation brought nothing (`true`) or something, of which these elements were a part. In any case it brought
    /// nothing of the `misplaced` ones, counted from its first.
    pub fn fruitless(&mut self, invocation: &Invocation, fruitless: bool, misplaced: &[u32]) {
        let account = self.account(&invocation.job.id);
        for index in invocation.first..invocation.first + u64::from(invocation.count) {
            let element = account.elements.entry(index).or_default();
            let nothing = fruitless || misplaced.contains(&((index - invocation.first) as u32));
            element.fruitless = if nothing { element.fruitless + 1 } else { 0 };
        }
    }

    /// A block of inputs was taken from the source.
    pub(super) fn read(&mut self, job: &str, bytes: usize) {
        let account = self.account(job);
        let ahead = account.ahead;
        account.ahead += bytes;
        if ahead > AHEAD {
            self.violation(format!("{job}: inputs are taken while {ahead} bytes of them wait to be sent"));
        }
    }

    /// The job's holder no longer holds this many result bytes.
    pub fn released(&mut self, job: &str, bytes: usize) {
        self.account(job).released += bytes;
    }
}

impl Account {
    /// Bytes reported in this very moment may not have been looked at; earlier ones must have been.
    fn tick(&mut self, now: Duration) {
        if now > self.at {
            self.before += std::mem::take(&mut self.now);
            self.at = now;
        }
    }
}

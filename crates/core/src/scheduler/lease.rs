//! How long an invocation may go unheard before it is given up.
//!
//! An invocation can vanish: on the way, with its worker, or because a provider forgets to answer. So each has a
//! lease from its dispatch on. Giving one up too early does no harm but double work, since what it brings afterwards
//! is still taken; so leases may be guessed.

use std::time::Duration;

use super::flight::Flight;
use super::run::JobRun;
use super::slots::Busy;
use crate::error::{BackendError, Error, ErrorClass};
use crate::invoker::{JobSpec, Limits};

/// How long a worker may take to start, in the longest start measured so far.
const STARTS: u32 = 16;
/// Bounds of the time for a start; the upper one also holds before any start was measured.
const START_LEAST: Duration = Duration::from_secs(10);
const START_MOST: Duration = Duration::from_mins(2);
/// Heartbeats that may be missed.
const HEARTBEATS: u32 = 4;
/// What is granted beyond a worker's own limits, for the way, and for results that are stored at the end.
const GRACE: Duration = Duration::from_secs(30);
/// All are looked at one after the other, which takes its time where they are many. So they rest in between, for so long
/// for each of them.
const LOOK_EACH: Duration = Duration::from_micros(10);
/// A lease that ran out while this process did not get to run says nothing about the worker.
const STALLED: Duration = Duration::from_secs(5);

/// Why an invocation is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// Its worker has not begun; none of its elements can be to blame.
    NotStarted(Duration),
    /// It has lasted longer than anything its worker may do.
    TooLong(Duration),
    /// Its worker shows no sign of life.
    Silent(Duration),
}

impl Expired {
    pub(super) fn error(self) -> BackendError {
        let message = match self {
            Self::NotStarted(wait) => format!("the worker has not begun within {wait:.1?}"),
            Self::TooLong(wait) => format!("nothing came back within {wait:.1?}, longer than it may take"),
            Self::Silent(wait) => format!("the worker has been silent for {wait:.1?}"),
        };
        BackendError::new(ErrorClass::WorkerCrashed, message)
    }
}

/// What a lease is reckoned from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs {
    pub(super) dispatched: Duration,
    pub(super) started: Option<Duration>,
    /// The last sign of life, of any kind; `dispatched` if there was none.
    pub(super) heard: Duration,
    pub(super) count: u32,
    /// Elements at once.
    pub(super) concurrency: u32,
    /// Dispatches in a row of these elements that brought nothing.
    pub(super) fruitless: u32,
}

/// The leases of one job's invocations.
#[derive(Debug)]
pub(super) struct Leases {
    reports_start: bool,
    heartbeat: Option<Duration>,
    max_duration: Option<Duration>,
    /// Invocations that may be at a worker before one.
    ahead: u32,
    task_timeout: Option<Duration>,
    longest_start: Option<Duration>,
}

impl Leases {
    pub(super) fn new(limits: &Limits, spec: &JobSpec) -> Self {
        Self {
            reports_start: limits.reports_start,
            heartbeat: limits.heartbeat,
            max_duration: limits.max_duration,
            ahead: limits.pipelining as u32,
            task_timeout: spec.task_timeout,
            longest_start: None,
        }
    }

    /// Learns how long a worker took to start.
    pub(super) fn observe_start(&mut self, took: Duration) {
        self.longest_start = Some(self.longest_start.map_or(took, |longest| longest.max(took)));
    }

    /// Learns that a worker has begun so long after the dispatch. Says nothing where it may have waited behind others.
    pub(super) fn observe_begin(&mut self, after: Duration) {
        if self.ahead == 0 {
            self.observe_start(after);
        }
    }

    /// How long a worker may take to begin. Whoever was given up for that gets more time at the next try.
    fn start(&self, fruitless: u32) -> Duration {
        let guess = self.longest_start.map_or(START_MOST, |longest| longest.saturating_mul(STARTS));
        guess.max(START_LEAST).saturating_mul(1 << fruitless.min(8)).min(START_MOST)
    }

    /// The longest that the worker itself lets an invocation of so many elements last, from its beginning; `None` if
    /// nothing limits it.
    pub(super) fn longest(&self, count: u32, concurrency: u32) -> Option<Duration> {
        let rounds = count.div_ceil(concurrency.max(1));
        let tasks = self.task_timeout.map(|limit| limit.saturating_mul(rounds));
        [tasks, self.max_duration].into_iter().flatten().min()
    }

    /// When an invocation is given up, and why; `None` if it may last for ever.
    pub(super) fn deadline(&self, signs: &Signs, now: Duration, busy: Busy) -> Option<(Duration, Expired)> {
        let start = self.start(signs.fruitless);
        // Behind others on busy workers nothing can begin.
        let waited_from = match busy {
            Busy::Now => now,
            Busy::Until(time) => time.max(signs.dispatched),
        };
        let mut begun = signs.started;
        if begun.is_none() {
            if self.reports_start {
                return Some((waited_from.max(signs.heard) + start, Expired::NotStarted(start)));
            }
            // It may have begun, or wait behind others, and nobody will say.
            begun = Some(signs.dispatched + start);
        }
        let begun = begun.unwrap_or_default();
        let ahead = if signs.started.is_some() { 1 } else { 1 + self.ahead };
        let too_long = self.longest(signs.count, signs.concurrency).map(|longest| {
            let wait = longest.saturating_mul(ahead).saturating_add(GRACE);
            (begun.saturating_add(wait), Expired::TooLong(wait))
        });
        let silent = self.heartbeat.map(|beat| {
            let wait = beat.saturating_mul(HEARTBEATS);
            let heard = if signs.started.is_some() { signs.heard } else { waited_from.max(begun) };
            (signs.heard.max(heard).saturating_add(wait), Expired::Silent(wait))
        });
        [too_long, silent].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

impl JobRun {
    /// Has the flight looked at when its lease runs out.
    pub(super) fn watch(&mut self, signs: &Signs) {
        if let Some((at, _)) = self.leases.deadline(signs, self.now, self.share.busy())
            && self.next_sweep.is_none_or(|next| at < next)
        {
            self.next_sweep = Some(at);
        }
    }

    /// Gives up the invocations whose leases have run out. Looks at all of them, but not more often than the shortest
    /// lease lasts.
    pub(super) fn sweep(&mut self) {
        let Some(due) = self.next_sweep.filter(|due| *due <= self.now) else { return };
        if self.now > due + STALLED {
            // What came in meanwhile is heard first.
            self.next_sweep = Some(self.now + STALLED);
            return;
        }
        let busy = self.share.busy();
        let mut next = None;
        for flight in self.flights.values_mut().filter(|flight| flight.expired.is_none()) {
            match self.leases.deadline(&flight.signs(), self.now, busy) {
                Some((at, why)) if at <= self.now => {
                    self.stats.lost += 1;
                    flight.expired = Some(why);
                    flight.abort.abort();
                }
                Some((at, _)) => next = Some(next.map_or(at, |next: Duration| next.min(at))),
                None => {}
            }
        }
        let rest = LOOK_EACH.saturating_mul(self.flights.len() as u32);
        self.next_sweep = next.map(|next: Duration| next.max(self.now + rest));
    }

    /// An invocation was given up.
    pub(super) fn on_expired(&mut self, flight: Flight, why: Expired) -> Result<(), Error> {
        match why {
            Expired::NotStarted(_) => self.on_passing_trouble(&flight, &why.error()),
            Expired::TooLong(_) | Expired::Silent(_) => self.on_lost(flight, &why.error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Call, Entry, Target};
    use crate::image::ImageId;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const FREE: Busy = Busy::Until(Duration::ZERO);

    fn leases(change: impl FnOnce(&mut Limits), task_timeout: Option<Duration>) -> Leases {
        let mut limits = Limits::unlimited(10);
        change(&mut limits);
        let target = Target::Named { name: "f".to_owned(), call: Call::Map };
        let spec = JobSpec {
            id: "job".to_owned(),
            label: "job".to_owned(),
            entry: Entry { image: ImageId([0; 32]), target },
            shared: None,
            task_timeout,
            concurrency: 1,
        };
        Leases::new(&limits, &spec)
    }

    fn signs(started: Option<Duration>, heard: Duration) -> Signs {
        Signs { dispatched: s(100), started, heard, count: 10, concurrency: 2, fruitless: 0 }
    }

    fn expires(leases: &Leases, signs: Signs, busy: Busy) -> Option<(u64, Expired)> {
        leases.deadline(&signs, s(1000), busy).map(|(at, why)| (at.as_secs(), why))
    }

    #[test]
    fn a_worker_that_does_not_begin_is_given_up_by_measured_starts() {
        let mut leases = leases(|limits| limits.reports_start = true, None);
        let waiting = signs(None, s(100));
        assert_eq!(expires(&leases, waiting, FREE), Some((220, Expired::NotStarted(s(120)))));
        leases.observe_begin(Duration::from_millis(50));
        assert_eq!(expires(&leases, waiting, FREE), Some((110, Expired::NotStarted(s(10)))));
        let again = Signs { fruitless: 2, ..waiting };
        assert_eq!(expires(&leases, again, FREE), Some((140, Expired::NotStarted(s(40)))));
        leases.observe_begin(s(2));
        leases.observe_begin(s(1));
        assert_eq!(expires(&leases, waiting, FREE), Some((132, Expired::NotStarted(s(32)))));
        assert_eq!(expires(&leases, again, FREE), Some((220, Expired::NotStarted(s(120)))));
        // A sign of life, though it prepares only.
        assert_eq!(expires(&leases, signs(None, s(150)), FREE), Some((182, Expired::NotStarted(s(32)))));
        // Once it has begun nothing limits it here.
        assert_eq!(expires(&leases, signs(Some(s(101)), s(101)), FREE), None);
    }

    #[test]
    fn behind_busy_workers_nothing_can_begin() {
        let mut leases = leases(
            |limits| {
                limits.reports_start = true;
                limits.pipelining = 4;
            },
            None,
        );
        leases.observe_begin(s(500));
        leases.observe_start(Duration::ZERO);
        let waiting = signs(None, s(100));
        assert_eq!(expires(&leases, waiting, Busy::Now), Some((1010, Expired::NotStarted(s(10)))));
        assert_eq!(expires(&leases, waiting, Busy::Until(s(300))), Some((310, Expired::NotStarted(s(10)))));
    }

    #[test]
    fn nothing_lasts_longer_than_the_worker_may() {
        let worker = leases(
            |limits| {
                limits.reports_start = true;
                limits.max_duration = Some(s(900));
            },
            None,
        );
        let running = signs(Some(s(110)), s(500));
        assert_eq!(expires(&worker, running, FREE), Some((1040, Expired::TooLong(s(930)))));
        let tasks = leases(|limits| limits.max_duration = Some(s(900)), Some(s(3)));
        // Five rounds of two; whether it has begun is not told.
        let unknown = signs(None, s(100));
        assert_eq!(expires(&tasks, unknown, FREE), Some((265, Expired::TooLong(s(45)))));
        assert_eq!(leases(|_| {}, None).longest(10, 2), None);
    }

    #[test]
    fn a_worker_that_falls_silent_is_given_up() {
        let told = leases(
            |limits| {
                limits.reports_start = true;
                limits.heartbeat = Some(s(5));
            },
            None,
        );
        let running = signs(Some(s(110)), s(500));
        assert_eq!(expires(&told, running, FREE), Some((520, Expired::Silent(s(20)))));
        // Where starts are not told, time to start comes first.
        let untold = leases(|limits| limits.heartbeat = Some(s(5)), None);
        assert_eq!(expires(&untold, signs(None, s(100)), FREE), Some((240, Expired::Silent(s(20)))));
        assert_eq!(expires(&untold, signs(None, s(500)), FREE), Some((520, Expired::Silent(s(20)))));
    }
}

//! The future that drives one job from its inputs to its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::Aborted;
use futures_util::stream::{FuturesUnordered, Stream};

use super::backups::BackupState;
use super::budget::Purse;
use super::chunker::Chunker;
use super::done::Done;
use super::events::EventBuffer;
use super::fetch::Fetches;
use super::flight::{Flight, Waiting};
use super::given_up::GivenUp;
use super::input::{Backlog, InputSource};
use super::keep::Keep;
use super::lease::Leases;
use super::options::JobOptions;
use super::outbox::{Delivery, Outbox};
use super::recorder::Recorded;
use super::slots::{Share, Slots};
use super::stats::{JobStats, Progress};
use super::travel::Clearing;
use crate::clock::{Clock, Sleep};
use crate::error::{BackendError, Error, ErrorKind};
use crate::failure::TaskFailure;
use crate::invoker::{Events, Invoker, JobSpec, Reply};
use crate::storage::Storage;

/// What the jobs of one executor share.
#[derive(Clone)]
pub struct Resources {
    /// Runs invocations.
    pub invoker: Arc<dyn Invoker>,
    /// Takes what is too large to travel inline.
    pub storage: Arc<dyn Storage>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How much may be under way.
    pub slots: Arc<Slots>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("invoker", &self.invoker).finish_non_exhaustive()
    }
}

/// Replies and dispatches handled in one go before other futures of the thread get their turn.
const BUDGET: usize = 64;
/// Replies taken in a row before new chunks are dispatched.
const REPLIES: usize = 64;

pub(super) type Running =
    Pin<Box<dyn Future<Output = (u64, Result<Result<Reply, BackendError>, Aborted>)> + Send>>;

/// One job under way. Completes when the job has ended; how it ended is told to its [`Outbox`].
pub struct JobRun {
    pub(super) spec: Arc<JobSpec>,
    pub(super) options: JobOptions,
    pub(super) resources: Resources,
    pub(super) source: Box<dyn InputSource>,
    pub(super) source_ended: bool,
    pub(super) outbox: Outbox,
    pub(super) share: Share,
    events: Arc<EventBuffer>,
    pub(super) events_dyn: Arc<dyn Events>,
    pub(super) event_batch: Vec<super::events::Event>,
    pub(super) backlog: Backlog,
    pub(super) waiting: Waiting,
    /// By id, and so in the order in which they left.
    pub(super) flights: BTreeMap<u64, Flight>,
    pub(super) given_up: GivenUp,
    pub(super) running: FuturesUnordered<Running>,
    pub(super) in_flight_bytes: usize,
    pub(super) chunker: Chunker,
    pub(super) failures: HashMap<u64, Vec<TaskFailure>>,
    /// The elements that need no more work, whichever invocation did it.
    pub(super) done: Done,
    /// Cancelled before they were read from a source that does not say how many it has.
    pub(super) cancelled_early: BTreeSet<u64>,
    pub(super) rng: fastrand::Rng,
    timer: Option<(Duration, Sleep)>,
    pub(super) started: Duration,
    /// The time of this turn.
    pub(super) now: Duration,
    pub(super) leases: Leases,
    pub(super) backups: BackupState,
    pub(super) purse: Purse,
    /// Tells what this run stores from what an earlier run of the same job did.
    pub(super) tag: u32,
    pub(super) clearing: Clearing,
    pub(super) fetches: Fetches,
    /// When some invocation's lease may run out.
    pub(super) next_sweep: Option<Duration>,
    pub(super) out: Vec<Delivery>,
    pub(super) progress: Progress,
    pub(super) stats: JobStats,
    /// What it keeps in storage.
    pub(super) keep: Keep,
    begun: bool,
    ended: bool,
}

impl fmt::Debug for JobRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRun")
            .field("job", &self.spec.id)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl JobRun {
    /// A job that has not begun. Nothing happens until it is polled.
    pub fn new(
        spec: Arc<JobSpec>,
        options: JobOptions,
        source: Box<dyn InputSource>,
        outbox: Outbox,
        resources: Resources,
    ) -> Self {
        let events = EventBuffer::new();
        let limits = resources.invoker.limits();
        let now = resources.clock.now();
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let progress = Progress { total: source.remaining(), ..Progress::default() };
        let backlog = Backlog::new(options.passing.refers);
        Self {
            chunker: Chunker::new(options.chunk_size, limits.overhead)
                .at_once(spec.concurrency)
                .within(limits.max_duration),
            share: resources.slots.join(),
            tag: rng.u32(..),
            rng,
            backups: BackupState::new(options.backups, limits.stragglers),
            purse: Purse::new(options.budget, limits),
            clearing: Clearing::default(),
            fetches: Fetches::default(),
            started: now,
            now,
            leases: Leases::new(limits, &spec),
            next_sweep: None,
            events_dyn: Arc::clone(&events) as Arc<dyn Events>,
            events,
            spec,
            options,
            resources,
            source,
            source_ended: false,
            outbox,
            event_batch: Vec::new(),
            backlog,
            waiting: Waiting::default(),
            flights: BTreeMap::new(),
            given_up: GivenUp::default(),
            running: FuturesUnordered::new(),
            in_flight_bytes: 0,
            failures: HashMap::new(),
            done: Done::default(),
            cancelled_early: BTreeSet::new(),
            timer: None,
            out: Vec::new(),
            progress,
            stats: JobStats::default(),
            keep: Keep::default(),
            begun: false,
            ended: false,
        }
    }

    /// Does all that can be done now. `Ready` when the job is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        for _ in 0..BUDGET {
            self.now = self.resources.clock.now();
            self.obey(cx)?;
            let mut busy = self.read_events(cx)?;
            self.sweep();
            busy |= self.read_replies(cx)?;
            busy |= self.tend(cx)?;
            if !self.fetches.is_empty() {
                busy |= self.read_fetched(cx)?;
            }
            self.clearing.poll(cx);
            // Before more is dispatched: the results weigh against the buffer from now on.
            if !self.out.is_empty() {
                self.publish();
            }
            busy |= self.dispatch(cx)?;
            busy |= self.recall(cx)?;
            if busy {
                self.publish();
            }
            if self.record(cx, false)? == Recorded::Deposed {
                return Poll::Ready(Ok(()));
            }
            if self.source_ended
                && self.flights.is_empty()
                && self.waiting.is_empty()
                && self.backlog.elements() == 0
                && self.fetches.is_empty()
                && self.is_kept()
            {
                return Poll::Ready(Ok(()));
            }
            if self.is_spent() {
                return Poll::Ready(Err(self.budget_error()));
            }
            if !busy && !self.timer_fired(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what invokers have reported.
    fn read_events(&mut self, cx: &Context<'_>) -> Result<bool, Error> {
        let mut batch = std::mem::take(&mut self.event_batch);
        self.events.take(cx, &mut batch);
        let any = !batch.is_empty();
        for event in batch.drain(..) {
            self.on_event(event)?;
        }
        self.event_batch = batch;
        Ok(any)
    }

    /// Takes what has come back.
    fn read_replies(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut any = false;
        for _ in 0..REPLIES {
            let Poll::Ready(Some((id, result))) = Pin::new(&mut self.running).poll_next(cx) else { break };
            any = true;
            // An invocation may have reported and ended within one poll. Its reports come first, or the elements that
            // they are about would be taken for undone.
            self.read_events(cx)?;
            let Some(flight) = self.flights.remove(&id) else { continue };
            self.in_flight_bytes -= flight.bytes;
            self.purse.release(flight.reserved);
            if flight.started.is_some() {
                self.share.stopped(self.now);
            }
            if !flight.twins.is_empty() {
                self.backups.look_again();
            }
            self.clear(flight.spilled.clone());
            match result {
                Ok(result) => self.on_reply(flight, result)?,
                Err(Aborted) => self.on_abort(flight)?,
            }
        }
        Ok(any)
    }

    /// Sees to it that the job gets a turn at this time.
    pub(super) fn wake_at(&mut self, time: Duration) {
        if self.timer.as_ref().is_none_or(|(set, _)| time < *set) {
            let wait = time.saturating_sub(self.resources.clock.now());
            self.timer = Some((time, self.resources.clock.sleep(wait)));
        }
    }

    fn timer_fired(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((_, sleep)) = &mut self.timer else { return false };
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.timer = None;
        true
    }

    /// Nothing more is run: ends what is under way.
    pub(super) fn land(&mut self) {
        self.running = FuturesUnordered::new();
        // Whoever waits for slots need not wait for what is still to be tidied up.
        for mut flight in std::mem::take(&mut self.flights).into_values() {
            self.share.give(false);
            self.purse.release(flight.reserved);
            self.charge_unknown(&mut flight);
            if flight.started.is_some() {
                self.share.stopped(self.now);
            }
            self.clear(flight.spilled);
        }
        self.share.rest();
        self.clear_fetched();
        self.fetches = Fetches::default();
        self.in_flight_bytes = 0;
        self.progress.running = 0;
    }
}

pub(super) fn internal(error: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("a worker's or the client's own records cannot be read: {error}"))
}

impl Future for JobRun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        if !self.begun {
            self.begun = true;
            self.outbox.set_driven(true);
            self.show();
            if let Err(error) = self.check_budget() {
                self.begin_ending(Err(error));
            }
        }
        if self.keep.ending.is_none() {
            let end = ready!(self.turn(cx));
            self.begin_ending(end);
        }
        ready!(self.poll_ending(cx));
        self.ended = true;
        Poll::Ready(())
    }
}

impl Drop for JobRun {
    fn drop(&mut self) {
        if !self.ended {
            let message = format!("job {} ended with the executor that ran it", self.spec.label);
            self.outbox.finish(Err(Error::new(ErrorKind::Cancelled, message)));
        }
    }
}

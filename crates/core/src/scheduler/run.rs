//! The future that drives one job from its inputs to its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, Aborted};
use futures_util::stream::{FuturesUnordered, Stream};

use super::chunker::Chunker;
use super::done::Done;
use super::events::EventBuffer;
use super::flight::{Chunk, Flight, Waiting};
use super::given_up::GivenUp;
use super::input::{Backlog, InputSource};
use super::keep::Keep;
use super::lease::Leases;
use super::options::JobOptions;
use super::outbox::{Delivery, Outbox};
use super::recorder::Recorded;
use super::slots::{Share, Slots, Taken};
use super::stats::{JobStats, Progress};
use super::travel;
use crate::clock::{Clock, Sleep};
use crate::error::{BackendError, Error, ErrorKind};
use crate::failure::TaskFailure;
use crate::invoker::{Events, Invocation, Invoker, JobSpec, Payload, Reply};
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
/// Largest adaptive chunk in bytes; larger ones do not make anything faster.
const CHUNK_BYTES: usize = 4 << 20;
/// Input bytes taken ahead of dispatch.
const BACKLOG_BYTES: usize = 8 << 20;

pub(super) type Running =
    Pin<Box<dyn Future<Output = (u64, Result<Result<Reply, BackendError>, Aborted>)> + Send>>;

/// One job under way. Completes when the job has ended; how it ended is told to its [`Outbox`].
pub struct JobRun {
    pub(super) spec: Arc<JobSpec>,
    pub(super) options: JobOptions,
    pub(super) resources: Resources,
    source: Box<dyn InputSource>,
    source_ended: bool,
    pub(super) outbox: Outbox,
    pub(super) share: Share,
    events: Arc<EventBuffer>,
    events_dyn: Arc<dyn Events>,
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
    /// When some invocation's lease may run out.
    pub(super) next_sweep: Option<Duration>,
    pub(super) out: Vec<Delivery>,
    pub(super) progress: Progress,
    pub(super) stats: JobStats,
    /// What it keeps in storage.
    pub(super) keep: Keep,
    /// Names what this run stores on the way.
    spills: u64,
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
        // Not of the run's own chances, so that jobs without durable parts run as they always did.
        let spills = fastrand::Rng::with_seed(options.seed.wrapping_add(1)).u64(..);
        let limits = resources.invoker.limits();
        let now = resources.clock.now();
        let progress = Progress { total: source.remaining(), ..Progress::default() };
        Self {
            chunker: Chunker::new(options.chunk_size, limits.overhead),
            share: resources.slots.join(),
            rng: fastrand::Rng::with_seed(options.seed),
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
            backlog: Backlog::default(),
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
            spills,
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
            // Before more is dispatched: the results weigh against the buffer from now on.
            if !self.out.is_empty() {
                self.publish();
            }
            busy |= self.dispatch(cx)?;
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
                && self.is_kept()
            {
                return Poll::Ready(Ok(()));
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
            if flight.started.is_some() {
                self.share.stopped(self.now);
            }
            match result {
                Ok(result) => self.on_reply(flight, result)?,
                Err(Aborted) => self.on_abort(flight)?,
            }
        }
        Ok(any)
    }

    /// Sends off as many chunks as may go.
    fn dispatch(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut any = false;
        let limits = self.resources.invoker.limits();
        let (concurrency, pipelining, inline) =
            (limits.concurrency, limits.pipelining, limits.max_inline_input);
        let workers = self.options.workers.unwrap_or(usize::MAX).clamp(1, concurrency.max(1));
        let bytes = if self.options.chunk_size.is_some() { usize::MAX } else { inline.min(CHUNK_BYTES) };
        let now = self.now;
        loop {
            if self.in_flight_bytes > self.options.input_buffer && !self.flights.is_empty() {
                self.share.rest();
                break;
            }
            let again = self.waiting.is_ready(now);
            let mut size = 0;
            if !again {
                if self.is_full() {
                    self.share.rest();
                    break;
                }
                size = self.fill_backlog(cx, workers)?;
                let waiting = self.backlog.elements();
                if waiting == 0 {
                    self.share.rest();
                    break;
                }
                // More may come in a moment; meanwhile the workers have something to do, or the user has said
                // how many elements belong together.
                let enough = waiting >= u64::from(size) || self.backlog.bytes() >= bytes.min(BACKLOG_BYTES);
                let patient = self.options.chunk_size.is_some() || self.flights.len() >= workers;
                if !enough && !self.source_ended && patient {
                    self.share.rest();
                    break;
                }
            }
            // A job with fewer workers than there are must not find others for what waits behind them.
            let depth = if workers < concurrency { 0 } else { self.chunker.depth(pipelining) };
            match self.share.take(cx, now, workers, depth) {
                Taken::Yes => {}
                Taken::No => break,
                Taken::NotBefore(time) => {
                    self.wake_at(time);
                    break;
                }
            }
            let chunk = if let Some(chunk) = self.waiting.pop(now) {
                Some(chunk)
            } else {
                self.backlog.cut(size, bytes).map_err(|error| internal(&error))?.map(|cut| Chunk {
                    first: cut.first,
                    count: cut.count,
                    attempt: 1,
                    inputs: cut.inputs,
                    alone: false,
                    fruitless: 0,
                })
            };
            match chunk.map(|chunk| self.without_finished(chunk)).transpose()?.flatten() {
                Some(chunk) => self.launch(chunk, now, inline),
                None => self.share.give(false),
            }
            any = true;
        }
        // What is due already waits for a slot and not for time: a timer for it would ring at once, again and again.
        if let Some(time) = self.waiting.next_time().filter(|time| *time > self.now) {
            self.wake_at(time);
        }
        if let Some(time) = self.next_sweep {
            self.wake_at(time);
        }
        Ok(any)
    }

    /// Takes inputs until there are enough for the next chunk, and says how many that are.
    fn fill_backlog(&mut self, cx: &mut Context<'_>, workers: usize) -> Result<u32, Error> {
        loop {
            let remaining = if self.source_ended { Some(0) } else { self.source.remaining() };
            let size = self.chunker.next(remaining.map(|n| n + self.backlog.elements()), workers);
            if self.source_ended
                || self.backlog.elements() >= u64::from(size)
                || self.backlog.bytes() >= BACKLOG_BYTES
                || self.has_enough_known()
            {
                return Ok(size);
            }
            match self.source.poll_next(cx) {
                Poll::Ready(Some(block)) => {
                    self.take_in(block?)?;
                    while let Some(index) =
                        self.cancelled_early.first().copied().filter(|i| *i < self.backlog.end())
                    {
                        self.cancelled_early.remove(&index);
                        self.give_up(index);
                    }
                }
                Poll::Ready(None) => {
                    self.source_ended = true;
                    self.progress.total = Some(self.backlog.end());
                }
                Poll::Pending => return Ok(size),
            }
        }
    }

    fn launch(&mut self, chunk: Chunk, now: Duration, inline: usize) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let bytes = chunk.bytes();
        let concurrency = if chunk.alone { 1 } else { self.spec.concurrency };
        self.stats.invocations += 1;
        self.stats.input_bytes += bytes as u64;
        self.stats.largest_chunk = self.stats.largest_chunk.max(chunk.count);
        self.in_flight_bytes += bytes;
        self.progress.running += u64::from(chunk.count);
        let invocation = Invocation {
            job: Arc::clone(&self.spec),
            id,
            first: chunk.first,
            count: chunk.count,
            attempt: chunk.attempt,
            concurrency,
            // Another worker would be one more than the job may have.
            whole: self
                .options
                .workers
                .is_some_and(|workers| workers < self.resources.invoker.limits().concurrency),
            inputs: Payload::Inline(chunk.inputs.clone()),
        };
        let spill = (bytes > inline).then(|| travel::Spill { run: self.spills, signs: self.give_signs() });
        let (abort, registration) = AbortHandle::new_pair();
        let travel = travel::travel(
            Arc::clone(&self.resources.invoker),
            Arc::clone(&self.resources.storage),
            Arc::clone(&self.events_dyn),
            invocation,
            spill,
        );
        let travel = Abortable::new(travel, registration);
        self.running.push(Box::pin(async move { (id, travel.await) }));
        let flight = Flight {
            id,
            abort,
            chunk,
            received: super::received::Received::default(),
            dispatched: now,
            bytes,
            started: None,
            heard: now,
            expired: None,
            concurrency,
        };
        self.watch(&flight.signs());
        self.flights.insert(id, flight);
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
            self.show();
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

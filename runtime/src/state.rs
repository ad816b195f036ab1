//! What a pool knows at any moment: the calls, the pieces they were cut into, the queue and the processes.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustwren_core::error::BackendError;
use rustwren_core::failure::TaskFailure;
use rustwren_core::invoker::{Events, JobSpec, LogLine, Reply, ResultBatch, Usage};
use rustwren_core::worker::SharedPage;
use slab::Slab;
use tokio::sync::Notify;

use crate::life::Lifetime;
use crate::options::PoolOptions;
use crate::process::Process;
use crate::runs::Runs;

/// How much work should wait at a process, so that it does not run dry before the next batch comes.
const AHEAD_NANOS: u64 = 200_000;
/// The most calls at one process.
pub(crate) const MAX_AHEAD: usize = 128;
/// Calls longer than this are not sent ahead of time.
const LONG_NANOS: u64 = 20_000_000;

/// One invocation that somebody waits for.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) invocation: u64,
    pub(crate) job: Arc<JobSpec>,
    pub(crate) key: u32,
    pub(crate) first: u64,
    pub(crate) attempt: u32,
    pub(crate) concurrency: u32,
    pub(crate) whole: bool,
    /// None without a limit.
    pub(crate) life: Option<Box<Lifetime>>,
    pub(crate) events: EventSink,
    /// The pieces that are not over: almost always one.
    pub(crate) pieces: Pieces,
    pub(crate) queued_at: Instant,
    pub(crate) told_started: bool,
    pub(crate) results: Vec<ResultBatch>,
    pub(crate) failed: Vec<(u32, TaskFailure)>,
    pub(crate) suspects: Vec<(u32, TaskFailure)>,
    /// Some element has neither result nor failure.
    pub(crate) incomplete: bool,
    pub(crate) usage: Usage,
    pub(crate) outcome: Option<Result<Reply, BackendError>>,
    pub(crate) waker: Option<Waker>,
}

impl Call {
    /// Whether nothing of it is begun any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.is_closed())
    }
}

/// Keys of pieces, without memory of its own for the first.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pub(crate) one: Option<usize>,
    pub(crate) more: Vec<usize>,
}

impl Pieces {
    pub(crate) fn add(&mut self, key: usize) {
        if self.one.is_none() {
            self.one = Some(key);
        } else {
            self.more.push(key);
        }
    }

    pub(crate) fn remove(&mut self, key: usize) {
        if self.one == Some(key) {
            self.one = self.more.pop();
        } else {
            self.more.retain(|&k| k != key);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.one.is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.one.into_iter().chain(self.more.iter().copied())
    }
}

/// [`Events`] are foreign and need not be printable.
#[derive(Clone)]
pub(crate) struct EventSink(pub(crate) Arc<dyn Events>);

impl std::fmt::Debug for EventSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

/// Consecutive elements of a call, run by one process without interruption.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Its name on the wire: a running number above its key.
    pub(crate) id: u64,
    /// `None` once the call is cancelled.
    pub(crate) call: Option<usize>,
    /// First element, from the call's first.
    pub(crate) offset: u32,
    pub(crate) count: u32,
    pub(crate) inputs: Vec<Bytes>,
    pub(crate) worker: Option<usize>,
    /// Its process was asked to give back what it can.
    pub(crate) asked_back: bool,
    /// Elements with a result, from the piece's first.
    pub(crate) seen: Runs,
}

/// Why a process is to be ended from our side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Nobody waits any more for what it is doing.
    Cancelled,
    /// Its call may not last any longer.
    EndOfLife,
    /// An element has run for too long.
    TimedOut { call: u64, element: u32, since: u64, limit: Duration },
    /// It sent what it should not.
    Garbage(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// No process.
    Empty,
    Starting,
    Ready,
    /// Being ended: gets no more work.
    Ending,
}

/// A place for a process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) status: Status,
    /// Counts the processes that this place has had.
    pub(crate) generation: u64,
    pub(crate) notify: Arc<Notify>,
    /// Pieces at the process, the one that runs first; those from `sent` on have yet to be sent.
    pub(crate) pipeline: VecDeque<usize>,
    pub(crate) sent: usize,
    pub(crate) ask_back: Vec<u64>,
    pub(crate) forget: Vec<u32>,
    pub(crate) kill: Option<Kill>,
    /// The only job that the process may have, where jobs are kept apart.
    pub(crate) job: Option<u32>,
    /// Jobs that the process knows.
    pub(crate) known: Vec<u32>,
    /// What one call takes, in nanoseconds, if one has been measured.
    pub(crate) pace: Option<u64>,
    pub(crate) head_since: Instant,
    pub(crate) check_at: Option<Instant>,
    /// When its calls are told as alive next.
    pub(crate) beat_at: Option<Instant>,
    /// How long the process took to start, until its first piece is told.
    pub(crate) cold: Option<Duration>,
    /// Pieces that it has finished.
    pub(crate) finished: u64,
    pub(crate) page: Option<Arc<SharedPage>>,
    /// Here, so that whoever closes the pool can end it.
    pub(crate) process: Option<Process>,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self {
            status: Status::Empty,
            generation: 0,
            notify: Arc::new(Notify::new()),
            pipeline: VecDeque::new(),
            sent: 0,
            ask_back: Vec::new(),
            forget: Vec::new(),
            kill: None,
            job: None,
            known: Vec::new(),
            pace: None,
            head_since: Instant::now(),
            check_at: None,
            beat_at: None,
            cold: None,
            finished: 0,
            page: None,
            process: None,
        }
    }

    /// How many calls it may have at once.
    pub(crate) fn depth(&self) -> usize {
        match self.pace {
            None => 1,
            Some(nanos) if nanos > LONG_NANOS => 1,
            Some(nanos) => {
                usize::try_from(AHEAD_NANOS / nanos.max(1)).unwrap_or(MAX_AHEAD).clamp(2, MAX_AHEAD)
            }
        }
    }
}

/// A job that a call has named.
#[derive(Debug)]
pub(crate) struct KnownJob {
    pub(crate) key: u32,
    /// Tells when nobody needs the job any more, and keeps its address from being used again until then.
    pub(crate) spec: Weak<JobSpec>,
    pub(crate) shared: Vec<Bytes>,
}

/// What is to be told once the state is no longer locked.
#[derive(Debug)]
pub(crate) enum Told {
    Started(EventSink, u64),
    Results(EventSink, u64, ResultBatch),
    Log(EventSink, u64, LogLine),
    Alive(EventSink, u64),
}

impl Told {
    pub(crate) fn tell(self) {
        match self {
            Self::Started(events, id) => events.0.started(id),
            Self::Results(events, id, batch) => events.0.results(id, batch),
            Self::Log(events, id, line) => events.0.log(id, line),
            Self::Alive(events, id) => events.0.alive(id),
        }
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) closed: bool,
    /// Nothing more is begun, and what runs is ended then.
    pub(crate) winding_down: Option<Instant>,
    pub(crate) options: Arc<PoolOptions>,
    pub(crate) calls: Slab<Call>,
    pub(crate) pieces: Slab<Piece>,
    pub(crate) queue: VecDeque<usize>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) jobs: Vec<KnownJob>,
    pub(crate) next_job: u32,
    pub(crate) next_piece: u32,
    /// Processes in a row that died without having finished anything.
    pub(crate) barren: u32,
    /// Places where a driver is to be started.
    pub(crate) to_start: Vec<(usize, u64)>,
    pub(crate) told: Vec<Told>,
    /// Callers to wake after that.
    pub(crate) woken: Vec<Waker>,
}

impl State {
    pub(crate) fn new(options: Arc<PoolOptions>) -> Self {
        Self {
            closed: false,
            winding_down: None,
            calls: Slab::new(),
            pieces: Slab::new(),
            queue: VecDeque::new(),
            workers: (0..options.workers.max(1)).map(|_| Worker::new()).collect(),
            options,
            jobs: Vec::new(),
            next_job: 0,
            next_piece: 0,
            barren: 0,
            to_start: Vec::new(),
            told: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// Makes a piece of a call. It is not queued yet.
    pub(crate) fn add_piece(&mut self, call: usize, offset: u32, count: u32, inputs: Vec<Bytes>) -> usize {
        self.next_piece = self.next_piece.wrapping_add(1);
        let entry = self.pieces.vacant_entry();
        let key = entry.key();
        entry.insert(Piece {
            id: u64::from(self.next_piece) << 32 | key as u64,
            call: Some(call),
            offset,
            count,
            inputs,
            worker: None,
            asked_back: false,
            seen: Runs::default(),
        });
        if let Some(call) = self.calls.get_mut(call) {
            call.pieces.add(key);
        }
        key
    }

    /// The piece of this name, unless it is over.
    pub(crate) fn piece_key(&self, id: u64) -> Option<usize> {
        let key = (id & 0xffff_ffff) as usize;
        self.pieces.get(key).filter(|piece| piece.id == id).map(|_| key)
    }

    /// Hands queued pieces to processes that have room, and asks for more processes if there is too little.
    pub(crate) fn dispatch(&mut self, now: Instant) {
        let mut shares = false;
        while let Some(&piece) = self.queue.front() {
            if self.pieces.get(piece).is_none_or(|piece| piece.call.is_none()) {
                self.pieces.try_remove(piece);
                self.queue.pop_front();
                continue;
            }
            let ready = self.workers.iter().enumerate().filter(|(_, w)| w.status == Status::Ready);
            let call = self.pieces.get(piece).and_then(|piece| self.calls.get(piece.call?));
            // Its life begins when it comes to a process: it is not to be spent in line there.
            let limited = call.is_some_and(|call| call.life.is_some());
            let job = call.map(|call| call.key).filter(|_| self.options.isolation.is_some());
            let fits = |worker: &Worker| job.is_none() || worker.job.is_none() || worker.job == job;
            let room = |worker: &Worker| if limited { 1 } else { worker.depth() };
            let best = ready
                .filter(|(_, w)| fits(w) && w.pipeline.len() < room(w))
                .min_by_key(|(_, w)| w.pipeline.len());
            let best = best.map(|(index, worker)| (index, worker.pipeline.len()));
            if best.is_none_or(|(_, load)| load > 0) {
                self.want_process();
            }
            let Some((index, _)) = best else { break };
            self.queue.pop_front();
            self.workers[index].job = job;
            shares |= self.assign(index, piece, now);
        }
        if shares {
            // They have looked for work when there was none, and do not look again by themselves.
            let idle = |w: &&Worker| w.status == Status::Ready && w.pipeline.is_empty();
            self.workers.iter().filter(idle).for_each(|w| w.notify.notify_one());
        }
    }

    fn want_process(&mut self) {
        let starting = self.workers.iter().filter(|w| w.status == Status::Starting).count();
        if self.closed || starting >= self.queue.len() {
            return;
        }
        if let Some(index) = self.workers.iter().position(|w| w.status == Status::Empty) {
            let worker = &mut self.workers[index];
            worker.status = Status::Starting;
            worker.generation += 1;
            worker.job = None;
            self.to_start.push((index, worker.generation));
        } else if self.options.isolation.is_some() {
            self.make_place(starting);
        }
    }

    /// Ends a process that has no work and may have none of the job that waits: its place is for another.
    fn make_place(&mut self, starting: usize) {
        let ending = self.workers.iter().filter(|w| w.status == Status::Ending).count();
        if starting + ending >= self.queue.len() {
            return;
        }
        let key = self.queue.front().and_then(|&piece| self.pieces.get(piece)?.call);
        let job = key.and_then(|call| self.calls.get(call)).map(|call| call.key);
        let idle = |w: &Worker| w.status == Status::Ready && w.pipeline.is_empty() && w.job != job;
        if let Some(index) = self.workers.iter().position(idle) {
            self.end_process(index, Kill::Cancelled);
        }
    }

    /// Whether that leaves something a process without work could take over.
    fn assign(&mut self, index: usize, piece: usize, now: Instant) -> bool {
        let worker = &mut self.workers[index];
        worker.pipeline.push_back(piece);
        worker.notify.notify_one();
        let Some(piece) = self.pieces.get_mut(piece) else {
            return false;
        };
        piece.worker = Some(index);
        if let Some(call) = piece.call.and_then(|call| self.calls.get(call))
            && let Some(limit) = call.job.task_timeout
        {
            let at = now.checked_add(limit);
            worker.check_at = [worker.check_at, at].into_iter().flatten().min();
        }
        let shares = piece.count > 1 || worker.pipeline.len() > 1;
        if worker.pipeline.len() == 1 {
            self.new_head(index, now);
        }
        shares
    }

    /// A process has turned to its next piece.
    pub(crate) fn new_head(&mut self, index: usize, now: Instant) {
        let worker = &mut self.workers[index];
        worker.head_since = now;
        let Some(piece) = worker.pipeline.front().and_then(|&key| self.pieces.get(key)) else {
            return;
        };
        let Some(call) = piece.call.and_then(|call| self.calls.get_mut(call)) else {
            return;
        };
        if let Some(took) = worker.cold.take() {
            call.usage.cold = true;
            call.usage.start += took;
        }
        if !call.told_started {
            call.told_started = true;
            if let Some(life) = &mut call.life {
                life.begin(now);
                // Whoever waits for the call now knows until when.
                self.woken.extend(call.waker.take());
            }
            call.usage.queued =
                now.saturating_duration_since(call.queued_at).saturating_sub(call.usage.start);
            self.told.push(Told::Started(call.events.clone(), call.invocation));
        }
        if let Some(page) = &worker.page {
            page.set_deadline(call.life.as_ref().map_or(0, |life| life.end_nanos(now)));
        }
    }
}

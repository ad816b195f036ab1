//! Results on their way from the scheduler to whoever holds the job.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::commands::Commands;
use super::stats::{JobStats, Progress};
use crate::error::Error;
use crate::failure::{FailureKind, TaskError};
use crate::invoker::LogLine;

/// A consumer that is in no hurry is woken for so many deliveries, or so many bytes.
const HEAP: usize = 64;
const HEAP_BYTES: usize = 256 << 10;

/// Something that became of one or more elements.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// Results of consecutive elements: `count` result records without failures among them.
    Results {
        /// Index of the first element.
        first: u64,
        /// How many.
        count: u32,
        /// Their result records.
        records: Bytes,
    },
    /// An element that failed for good. Only delivered by jobs that collect errors, and for cancelled elements.
    Failed(TaskError),
}

impl Delivery {
    /// The index of its first element.
    pub fn first(&self) -> u64 {
        match self {
            Self::Results { first, .. } => *first,
            Self::Failed(error) => error.index,
        }
    }

    /// How many elements it is about.
    pub fn count(&self) -> u32 {
        match self {
            Self::Results { count, .. } => *count,
            Self::Failed(_) => 1,
        }
    }

    /// What it weighs against the result buffer: its bytes and what holds them.
    pub fn weight(&self) -> usize {
        const HOLDER: usize = 96;
        match self {
            Self::Results { records, .. } => records.len() + HOLDER,
            // Whoever takes results in order may have to hold it, and others for which there is no room come before.
            // There are no more of these than its holder asked for.
            Self::Failed(error) if error.kind() == Some(&FailureKind::Cancelled) => 0,
            Self::Failed(_) => HOLDER,
        }
    }
}

/// Told about elements' comings and goings, besides their results. Methods are cheap and never block.
pub trait Observer: Send + Sync {
    /// These elements are with a worker now.
    fn running(&self, first: u64, count: u32);
    /// These elements wait again.
    fn waiting(&self, first: u64, count: u32);
    /// An element wrote something.
    fn log(&self, first: u64, line: &LogLine);
    /// The job is about to end: whoever waits for it learns it after this.
    fn ending(&self);
}

/// How a job ended: all its results were delivered, or why not.
pub type End = Result<(), Error>;

/// The way from a job's scheduler to its handle.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    commands: Commands,
    observer: OnceLock<Arc<dyn Observer>>,
    buffer: usize,
    collect: AtomicBool,
    driven: AtomicBool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a wish of the holder's, independent of the others"
)]
#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// Weight of what was delivered and not yet released.
    weight: usize,
    unbounded: bool,
    discarding: bool,
    /// Nobody is told of the end.
    hushed: bool,
    /// The consumer needs all and wants to be woken only for a handful of deliveries, or the end.
    unhurried: bool,
    end: Option<End>,
    progress: Progress,
    stats: JobStats,
    consumer: Option<Waker>,
    watchers: Vec<Waker>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl Outbox {
    /// An empty outbox that asks for a pause when more than `buffer` bytes wait in it.
    pub fn new(commands: Commands, buffer: usize) -> Self {
        let inner = Inner {
            state: Mutex::new(State::default()),
            commands,
            observer: OnceLock::new(),
            buffer,
            collect: AtomicBool::new(false),
            driven: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `observer` told what happens from now on. Only the first one is heard.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.inner.observer.get_or_init(|| observer);
    }

    /// The job's orders.
    pub fn commands(&self) -> &Commands {
        &self.inner.commands
    }

    /// How far the job has come.
    pub fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// What the job has cost.
    pub fn stats(&self) -> JobStats {
        self.lock().stats
    }

    /// Takes the next delivery; `None` once the job has ended and all was taken.
    pub fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Result<Delivery, Error>>> {
        let mut state = self.lock();
        if let Some(delivery) = state.queue.pop_front() {
            return Poll::Ready(Some(Ok(delivery)));
        }
        match &state.end {
            _ if state.hushed => Poll::Pending,
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                state.consumer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// As [`poll_next`](Self::poll_next), for a consumer that has no use for a part of the results: it is woken less
    /// often, but soon enough to keep what waits small.
    pub fn poll_next_unhurried(&self, cx: &Context<'_>) -> Poll<Option<Result<Delivery, Error>>> {
        self.lock().unhurried = true;
        self.poll_next(cx)
    }

    /// Says that a delivery of this weight is no longer held, so that others may follow.
    pub fn release(&self, weight: usize) {
        let mut state = self.lock();
        let over = state.weight > self.inner.buffer;
        state.weight = state.weight.saturating_sub(weight);
        let resumed = over && state.weight <= self.inner.buffer;
        drop(state);
        if resumed {
            self.inner.commands.nudge();
        }
    }

    /// Has elements' final failures delivered as their results, even if the job was to stop at the first.
    pub fn collect_errors(&self) {
        self.inner.collect.store(true, Ordering::Relaxed);
    }

    pub(super) fn collects_errors(&self) -> bool {
        self.inner.collect.load(Ordering::Relaxed)
    }

    /// Lifts the limit: whoever calls this holds all results until the job's end.
    pub fn hold_all(&self) {
        self.lock().unbounded = true;
        self.inner.commands.nudge();
    }

    /// Completes when `ready` says so; asked again after every change. Says whether the job has ended.
    pub fn poll_watch(&self, cx: &Context<'_>, ready: impl FnOnce(&Progress, bool) -> bool) -> Poll<bool> {
        let mut state = self.lock();
        let ended = state.end.is_some() && !state.hushed;
        if ended || ready(&state.progress, ended) {
            return Poll::Ready(ended);
        }
        if !state.watchers.iter().any(|known| known.will_wake(cx.waker())) {
            state.watchers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Keeps the job's end from all who wait for it: the program is about to exit, and what it would do next is not to
    /// begin any more.
    pub fn hush(&self) {
        self.lock().hushed = true;
    }

    /// Completes when the job has ended, hushed or not.
    pub fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Poll::Ready(());
        }
        state.watchers.push(cx.waker().clone());
        Poll::Pending
    }

    /// How the job ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// Whether a scheduler of this process delivers, or did last.
    pub fn is_driven(&self) -> bool {
        self.inner.driven.load(Ordering::Relaxed)
    }

    pub(super) fn set_driven(&self, driven: bool) {
        self.inner.driven.store(driven, Ordering::Relaxed);
    }

    /// Nobody will take the deliveries: they are dropped.
    pub fn discard(&self) {
        self.lock().discarding = true;
    }

    /// Whether more is held than should be, together with `more` that is on its way.
    pub(super) fn is_full(&self, more: usize) -> bool {
        let state = self.lock();
        !state.unbounded && state.weight.saturating_add(more) > self.inner.buffer
    }

    /// Delivers; `update` brings the numbers up to date in the same step.
    pub(super) fn deliver(
        &self,
        deliveries: &mut Vec<Delivery>,
        update: impl FnOnce(&mut Progress, &mut JobStats),
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        update(&mut state.progress, &mut state.stats);
        let any = !deliveries.is_empty();
        if state.discarding {
            deliveries.clear();
        }
        for delivery in deliveries.drain(..) {
            state.weight += delivery.weight();
            state.queue.push_back(delivery);
        }
        let heap = state.queue.len() >= HEAP || state.weight >= self.inner.buffer.min(HEAP_BYTES);
        let wake = any && (heap || !state.unhurried);
        let consumer = if wake { state.consumer.take() } else { None };
        let watchers = std::mem::take(&mut state.watchers);
        drop(guard);
        consumer.into_iter().chain(watchers).for_each(Waker::wake);
    }

    /// Ends the job. Only the first end counts.
    pub fn finish(&self, end: Result<(), Error>) {
        if let Some(observer) = self.observer() {
            observer.ending();
        }
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        let wakers: Vec<Waker> = state.consumer.take().into_iter().chain(state.watchers.drain(..)).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.inner.observer.get()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn deliver(outbox: &Outbox, first: u64, bytes: usize) {
        let records = Bytes::from(vec![0; bytes]);
        outbox.deliver(&mut vec![Delivery::Results { first, count: 1, records }], |_, _| {});
    }

    #[test]
    fn who_is_in_no_hurry_is_woken_for_a_heap_of_deliveries_much_data_or_the_end() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let woken = || count.0.swap(0, Ordering::Relaxed);
        let outbox = Outbox::new(Commands::default(), usize::MAX);
        let drain = || {
            let mut taken = 0;
            while let Poll::Ready(Some(Ok(delivery))) = outbox.poll_next_unhurried(&cx) {
                outbox.release(delivery.weight());
                taken += 1;
            }
            taken
        };
        assert_eq!(drain(), 0);
        for first in 1..HEAP as u64 {
            deliver(&outbox, first, 1);
        }
        assert_eq!(woken(), 0);
        deliver(&outbox, 0, 1);
        assert_eq!((woken(), drain()), (1, HEAP));
        deliver(&outbox, 70, HEAP_BYTES);
        assert_eq!((woken(), drain()), (1, 1));
        deliver(&outbox, 71, 1);
        outbox.finish(Ok(()));
        assert_eq!((woken(), drain()), (1, 1));
    }

    #[test]
    fn a_small_buffer_never_waits_for_a_heap() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let outbox = Outbox::new(Commands::default(), 10);
        assert!(outbox.poll_next_unhurried(&Context::from_waker(&waker)).is_pending());
        deliver(&outbox, 0, 1);
        assert!(outbox.is_full(0));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}

//! Chunks: waiting, and under way.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::AbortHandle;

use super::budget::Charge;
use super::done::Done;
use super::lease::{Expired, Signs};
use super::received::Received;

/// Consecutive elements that travel together.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) count: u32,
    /// From 1; the same for all its elements.
    pub(super) attempt: u32,
    /// Input records of all elements.
    pub(super) inputs: Vec<Bytes>,
    /// Whether its process works on one element at a time: so that a death can be blamed.
    pub(super) alone: bool,
    /// Dispatches in a row that brought nothing, through no fault of an element's.
    pub(super) fruitless: u32,
}

impl Chunk {
    pub(super) fn bytes(&self) -> usize {
        self.inputs.iter().map(Bytes::len).sum()
    }

    /// The index behind its last element.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// A chunk under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: u64,
    pub(super) chunk: Chunk,
    pub(super) received: Received,
    /// Stops it from this side.
    pub(super) abort: AbortHandle,
    pub(super) dispatched: Duration,
    pub(super) bytes: usize,
    /// Where its inputs are stored, if they do not travel with it.
    pub(super) spilled: Option<Arc<str>>,
    /// When the worker said that it began.
    pub(super) started: Option<Duration>,
    /// When anything was heard of it last.
    pub(super) heard: Duration,
    /// Other flights that have some of the same elements, or had.
    pub(super) twins: Vec<u64>,
    /// How often its elements were sent elsewhere as well.
    pub(super) backed_up: u32,
    /// Of which invocation it is a backup: of none, of one that is no backup, of a backup of one, and so on.
    pub(super) depth: u32,
    /// Why it was given up, if it was.
    pub(super) expired: Option<Expired>,
    /// Elements that its process works on at once.
    pub(super) concurrency: u32,
    /// The most that it may cost, as far as the job's budget asks.
    pub(super) reserved: Charge,
    /// Elements that it has brought first.
    pub(super) useful: u32,
    /// What of its cost brought nothing, once it is over.
    pub(super) wasted: Charge,
}

impl Flight {
    /// What its lease is reckoned from.
    pub(super) fn signs(&self) -> Signs {
        Signs {
            dispatched: self.dispatched,
            started: self.started,
            heard: self.heard,
            count: self.chunk.count,
            concurrency: self.concurrency,
            fruitless: self.chunk.fruitless,
        }
    }

    /// The parts of `start..end` (indexes) that it holds and has brought nothing about yet.
    pub(super) fn lacking(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.chunk.first;
        let last = first + u64::from(self.chunk.count);
        let (start, end) = (start.clamp(first, last), end.clamp(first, last));
        let gaps = self.received.gaps((start - first) as u32, (end - first) as u32);
        gaps.map(move |(from, to)| (first + u64::from(from), first + u64::from(to)))
    }

    /// The parts of it, as offsets, that it has brought nothing about and that are not finished elsewhere.
    pub(super) fn left(&self, done: &Done) -> Vec<(u32, u32)> {
        let first = self.chunk.first;
        let offset = |index: u64| (index - first) as u32;
        let gaps = self.lacking(first, self.chunk.end());
        gaps.flat_map(|(from, to)| done.missing(from, to)).map(|(a, b)| (offset(a), offset(b))).collect()
    }
}

/// Chunks that wait to be dispatched again.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    now: VecDeque<Chunk>,
    later: BinaryHeap<Reverse<Later>>,
}

#[derive(Debug)]
struct Later {
    at: Duration,
    chunk: Chunk,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Later {}
impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Later {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.chunk.first).cmp(&(other.at, other.chunk.first))
    }
}

impl Waiting {
    /// The parts of `start..end` (indexes) that wait.
    pub(super) fn parts(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let chunks = self.now.iter().chain(self.later.iter().map(|Reverse(later)| &later.chunk));
        chunks.map(move |chunk| (chunk.first.max(start), chunk.end().min(end))).filter(|(from, to)| from < to)
    }

    /// Puts a chunk in front of all that is not dispatched yet.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.now.push_back(chunk);
    }

    /// Puts a chunk in front of all others.
    pub(super) fn push_front(&mut self, chunk: Chunk) {
        self.now.push_front(chunk);
    }

    /// Puts a chunk aside until a time.
    pub(super) fn push_later(&mut self, chunk: Chunk, at: Duration) {
        self.later.push(Reverse(Later { at, chunk }));
    }

    /// The next chunk that may go now.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Chunk> {
        if self.later.peek().is_some_and(|Reverse(later)| later.at <= now) {
            return self.later.pop().map(|Reverse(later)| later.chunk);
        }
        self.now.pop_front()
    }

    /// Whether `pop` would give one.
    pub(super) fn is_ready(&self, now: Duration) -> bool {
        !self.now.is_empty() || self.later.peek().is_some_and(|Reverse(later)| later.at <= now)
    }

    /// When the next chunk that was put aside may go.
    pub(super) fn next_time(&self) -> Option<Duration> {
        self.later.peek().map(|Reverse(later)| later.at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.now.is_empty() && self.later.is_empty()
    }

    /// Drops the chunks all of whose elements are finished, after some of `start..end` were. A job need not wait for
    /// them.
    pub(super) fn drop_finished(&mut self, start: u64, end: u64, done: &Done) {
        let is_left = |chunk: &Chunk| {
            chunk.end() <= start || end <= chunk.first || !done.covers(chunk.first, chunk.end())
        };
        self.now.retain(is_left);
        if self.later.iter().any(|Reverse(later)| !is_left(&later.chunk)) {
            self.later.retain(|Reverse(later)| is_left(&later.chunk));
        }
    }
}

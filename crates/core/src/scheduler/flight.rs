//! Chunks: waiting, and under way.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

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

    pub(super) fn contains(&self, index: u64) -> bool {
        self.first <= index && index < self.first + u64::from(self.count)
    }
}

/// A chunk under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) chunk: Chunk,
    pub(super) received: Received,
    pub(super) dispatched: Duration,
    pub(super) bytes: usize,
    /// Whether the worker has said that it began.
    pub(super) started: bool,
}

impl Flight {
    /// Whether it holds this element and has brought nothing about it yet.
    pub(super) fn lacks(&self, index: u64) -> bool {
        let Some(offset) = index.checked_sub(self.chunk.first).filter(|k| *k < u64::from(self.chunk.count))
        else {
            return false;
        };
        let offset = offset as u32;
        self.received.gaps(offset, offset + 1).next().is_some()
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

    /// Whether this element waits. If its chunk was put aside, it is no longer: a job need not wait for elements that
    /// were cancelled.
    pub(super) fn bring_forward(&mut self, index: u64) -> bool {
        if self.now.iter().any(|chunk| chunk.contains(index)) {
            return true;
        }
        let mut found = false;
        for Reverse(later) in std::mem::take(&mut self.later) {
            if later.chunk.contains(index) {
                found = true;
                self.now.push_back(later.chunk);
            } else {
                self.later.push(Reverse(later));
            }
        }
        found
    }
}

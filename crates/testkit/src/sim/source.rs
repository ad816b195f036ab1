//! Inputs of simulated jobs.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustwren_core::clock::{Clock, Sleep};
use rustwren_core::error::{Error, ErrorKind};
use rustwren_core::protocol::records::append_input;
use rustwren_core::scheduler::input::{Block, InputSource};

use super::clock::lock;
use super::ledger::Ledger;
use super::work::input_of;

/// How inputs come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// Elements per block, at least 1.
    pub block: u32,
    /// Time between blocks.
    pub pause: Duration,
    /// Whether it is known in advance how many there are.
    pub counted: bool,
    /// Before which element the source fails.
    pub fails_at: Option<u64>,
}

impl Feed {
    /// All inputs are there from the start.
    pub const READY: Self = Self { block: 1000, pause: Duration::ZERO, counted: true, fails_at: None };
}

/// A source of elements made from a seed.
pub(super) struct Source {
    pub(super) feed: Feed,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: u64,
    pub(super) padding: usize,
    pub(super) next: u64,
    pub(super) end: u64,
    pub(super) sleep: Option<Sleep>,
    /// Where it is written down what was taken, if anywhere, and for which job.
    pub(super) book: Option<(Arc<Mutex<Ledger>>, String)>,
}

impl InputSource for Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>> {
        if self.feed.fails_at.is_some_and(|at| at <= self.next && at < self.end) {
            return Poll::Ready(Some(Err(Error::new(ErrorKind::Config, "simulated: the source fails"))));
        }
        if self.next == self.end {
            return Poll::Ready(None);
        }
        let (pause, clock) = (self.feed.pause, &self.clock);
        ready!(self.sleep.get_or_insert_with(|| clock.sleep(pause)).as_mut().poll(cx));
        self.sleep = None;
        let last = self.end.min(self.next + u64::from(self.feed.block.max(1)));
        let mut bytes = Vec::new();
        for index in self.next..last {
            let body = input_of(self.seed, index, self.padding);
            let done = append_input(&mut bytes, |out| {
                out.extend_from_slice(&body);
                Ok::<(), std::convert::Infallible>(())
            });
            match done {
                Ok(()) => {}
                Err(never) => match never {},
            }
        }
        let count = (last - self.next) as u32;
        self.next = last;
        if let Some((ledger, job)) = &self.book {
            lock(ledger).read(job, bytes.len());
        }
        Poll::Ready(Some(Ok(Block { count, bytes: Bytes::from(bytes) })))
    }

    fn remaining(&self) -> Option<u64> {
        self.feed.counted.then_some(self.end - self.next)
    }
}

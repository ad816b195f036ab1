//! From one step's job to the next: its outputs, in order, as input records.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::account::Accounts;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::decode::Elements;
use crate::executor::in_order::InOrder;
use crate::executor::job::Job;
use crate::scheduler::input::{Block, InputSource};
use crate::task::step::Course;

/// The outputs are not decoded on their way.
pub(super) struct Undecoded;

/// A block is passed on when it has so many bytes, or when nothing more is there.
const BLOCK_BYTES: usize = 256 << 10;

/// The outputs of a job of steps. Dropping it ends the job.
pub(super) struct Piped {
    job: Job<Undecoded>,
    order: InOrder,
    accounts: Accounts,
    /// The number of the job's first step.
    first: usize,
}

impl Piped {
    pub(super) fn new(job: Job<Undecoded>, accounts: Accounts, first: usize) -> Self {
        Self { job, order: InOrder::default(), accounts, first }
    }

    fn take(&self, mut elements: Elements, records: &mut Vec<u8>) -> Result<u32> {
        let mut count = 0;
        while let Some(outcome) = elements.next() {
            match outcome? {
                (index, Ok(body)) => {
                    let Some((course, at)) = Course::read(body) else {
                        let message = format!("output {index} of job {} is no pipeline's", self.job.label());
                        return Err(Error::new(ErrorKind::Internal, message));
                    };
                    if course.steps.is_empty() {
                        self.accounts.came_along(self.first);
                    }
                    self.accounts.passed(self.first, 1, &course);
                    records.extend_from_slice(&body[at..]);
                    count += course.items.count;
                }
                (_, Err(error)) => self.accounts.failed(self.first, error),
            }
        }
        self.job.core().handle.outbox.release(elements.weight());
        Ok(count)
    }
}

impl InputSource for Piped {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>> {
        let mut records = Vec::new();
        let mut count = 0;
        while records.len() < BLOCK_BYTES {
            match self.order.poll_next(&self.job.core().handle.outbox, cx) {
                Poll::Ready(Some(elements)) => match elements.and_then(|it| self.take(it, &mut records)) {
                    Ok(more) => count += more,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Poll::Ready(None) if count == 0 => return Poll::Ready(None),
                Poll::Pending if count == 0 => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Ok(Block { count, bytes: Bytes::from(records) })))
    }

    fn remaining(&self) -> Option<u64> {
        None
    }
}

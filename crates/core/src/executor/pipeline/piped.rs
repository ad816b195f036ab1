//! From one step's job to the next: its outputs, in order, as input records.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::account::Accounts;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::decode::Elements;
use crate::executor::feeding::Feeding;
use crate::executor::in_order::InOrder;
use crate::protocol::records::input_bodies;
use crate::protocol::references::Referred;
use crate::scheduler::input::{Block, InputSource};
use crate::task::step::Course;

/// The outputs are not decoded on their way.
pub(super) struct Undecoded;

/// A block is passed on when it has so many bytes, or when nothing more is there.
const BLOCK_BYTES: usize = 256 << 10;

/// The outputs of a job of steps. Dropping it ends the job, and takes away what workers have stored of them.
pub(super) struct Piped {
    job: Feeding,
    order: InOrder,
    accounts: Accounts,
    /// The number of the job's first step.
    first: usize,
    /// Whether the records are to be referring ones.
    refers: bool,
}

impl Piped {
    pub(super) fn new(job: Feeding, accounts: Accounts, first: usize, refers: bool) -> Self {
        Self { job, order: InOrder::default(), accounts, first, refers }
    }

    fn take(&self, mut elements: Elements, records: &mut Vec<u8>) -> Result<u32> {
        let mut count = 0;
        while let Some(outcome) = elements.next() {
            match outcome? {
                (index, Ok(body)) => {
                    let strange = || {
                        let label = self.job.handle.label();
                        let message = format!("output {index} of job {label} is no pipeline's");
                        Error::new(ErrorKind::Internal, message)
                    };
                    let (course, at) = Course::read(body)
                        .filter(|(course, _)| self.refers || !course.refers)
                        .ok_or_else(strange)?;
                    if course.steps.is_empty() {
                        self.accounts.came_along(self.first);
                    }
                    self.accounts.passed(self.first, 1, &course);
                    if course.refers == self.refers {
                        records.extend_from_slice(&body[at..]);
                    } else {
                        for item in input_bodies(&body[at..]) {
                            Referred::Here(item.map_err(|_| strange())?).append(records);
                        }
                    }
                    count += course.items.count;
                }
                (_, Err(error)) => self.accounts.failed(self.first, error),
            }
        }
        self.job.handle.outbox.release(elements.weight());
        Ok(count)
    }
}

impl InputSource for Piped {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>> {
        let mut records = Vec::new();
        let mut count = 0;
        while records.len() < BLOCK_BYTES {
            match self.order.poll_next(&self.job.handle.outbox, cx) {
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

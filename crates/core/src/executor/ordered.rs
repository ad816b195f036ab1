//! Outputs in input order, one by one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::decode::{Elements, output, task_failed};
use super::job::Job;
use crate::error::Result;

/// A job's outputs in input order. Made by [`Job::ordered`].
pub struct Ordered<O> {
    job: Job<O>,
    current: Option<Elements>,
    early: BTreeMap<u64, Elements>,
    next: u64,
    ended: bool,
}

impl<O> fmt::Debug for Ordered<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered")
            .field("job", &self.job)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<O: DeserializeOwned> Ordered<O> {
    pub(super) fn new(job: Job<O>) -> Self {
        Self {
            job,
            current: None,
            early: BTreeMap::new(),
            next: 0,
            ended: false,
        }
    }

    /// The job, for its progress and numbers.
    pub fn job(&self) -> &Job<O> {
        &self.job
    }

    /// The next output; `None` after the last. An error is a failed element's, and others follow, or the job's end.
    pub async fn next(&mut self) -> Option<Result<O>> {
        poll_fn(|cx| self.poll_output(cx)).await
    }

    fn poll_output(&mut self, cx: &Context<'_>) -> Poll<Option<Result<O>>> {
        loop {
            if let Some(elements) = &mut self.current {
                match elements.next() {
                    Some(Ok((index, outcome))) => {
                        self.next = index + 1;
                        return Poll::Ready(Some(match outcome {
                            Ok(body) => output(index, body),
                            Err(error) => Err(task_failed(error)),
                        }));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => {
                        let weight = elements.weight();
                        self.current = None;
                        self.job.core().handle.outbox.release(weight);
                    }
                }
            }
            if let Some(elements) = self.early.remove(&self.next) {
                self.current = Some(elements);
                continue;
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.job.core().handle.outbox.poll_next(cx)) {
                Some(Ok(delivery)) => {
                    let elements = Elements::new(delivery);
                    self.early.insert(elements.first(), elements);
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.early.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.ended = true,
            }
        }
    }
}

impl<O: DeserializeOwned> Stream for Ordered<O> {
    type Item = Result<O>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_output(cx)
    }
}

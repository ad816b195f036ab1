//! Outputs in input order, one by one.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::decode::{Elements, output, task_failed};
use super::in_order::InOrder;
use super::job::Job;
use crate::error::Result;

/// A job's outputs in input order. Made by [`Job::ordered`].
pub struct Ordered<O> {
    job: Job<O>,
    current: Option<Elements>,
    order: InOrder,
}

impl<O> fmt::Debug for Ordered<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered").field("job", &self.job).finish_non_exhaustive()
    }
}

impl<O: DeserializeOwned> Ordered<O> {
    pub(super) fn new(job: Job<O>) -> Self {
        Self { job, current: None, order: InOrder::default() }
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
            let outbox = &self.job.core().handle.outbox;
            if let Some(elements) = &mut self.current {
                match elements.next() {
                    Some(Ok((index, outcome))) => {
                        return Poll::Ready(Some(match outcome {
                            Ok(body) => output(index, body),
                            Err(error) => Err(task_failed(error)),
                        }));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => {
                        let weight = elements.weight();
                        self.current = None;
                        outbox.release(weight);
                    }
                }
            }
            match ready!(self.order.poll_next(outbox, cx)) {
                Some(Ok(elements)) => self.current = Some(elements),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
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

//! A pipeline's items as they come.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::report::PipelineReport;
use super::run::Flow;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::decode::output;
use crate::failure::TaskError;
use crate::protocol::records::split_input;

/// A pipeline's items, in order. Dropping it ends the pipeline.
pub struct PipelineStream<T> {
    flow: Flow,
    block: Bytes,
    given: u64,
    ended: bool,
    items: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for PipelineStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineStream").field("given", &self.given).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> PipelineStream<T> {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, block: Bytes::new(), given: 0, ended: false, items: PhantomData }
    }

    /// The next item; `None` after the last. An error is the pipeline's end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Items that have failed since this was last asked, where others go on, see
    /// [`Pipeline::on_error`](super::Pipeline::on_error).
    pub fn take_failed(&mut self) -> Vec<TaskError> {
        self.flow.accounts.take_failed()
    }

    /// How it went, so far or, after the last item, in all. With [`Pipeline::baseline`](super::Pipeline::baseline) it
    /// measures now.
    pub async fn report(&mut self) -> Result<PipelineReport> {
        if self.ended {
            self.flow.ended().await;
        }
        self.flow.report(self.given).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_body(cx));
        self.ended = !matches!(item, Some(Ok(_)));
        if self.ended {
            self.flow.end_jobs();
        }
        Poll::Ready(item)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        while self.block.is_empty() {
            match ready!(self.flow.source.poll_next(cx)) {
                Some(Ok(block)) => self.block = block.bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let item = match split_input(&self.block) {
            Ok((body, len)) => output(self.given, body).map(|item| (item, len)),
            Err(error) => Err(Error::new(ErrorKind::Internal, format!("between two steps: {error}"))),
        };
        Poll::Ready(Some(item.map(|(item, len)| {
            self.block.advance(len);
            self.given += 1;
            item
        })))
    }
}

impl<T: DeserializeOwned> Stream for PipelineStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

//! [`InstantInvoker`]: no workers at all, to measure what the client itself costs.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Payload, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, append_result, split_input};

type Answer = Box<dyn Fn(&Invocation) -> Result<Bytes, BackendError> + Send + Sync>;

/// An invoker that holds invocations until so many are under way, or no more come, and then answers all of them at
/// once, in this process.
pub struct InstantInvoker {
    limits: Limits,
    answer: Answer,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Counts the answers: what was held in an earlier round has been answered.
    round: u64,
    wakers: Vec<Waker>,
    /// Most that were held at once.
    most: usize,
}

impl fmt::Debug for InstantInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstantInvoker").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl InstantInvoker {
    /// Holds up to `hold` invocations, at least 1. `answer` gives the result records of all elements of one.
    pub fn new(
        hold: usize,
        answer: impl Fn(&Invocation) -> Result<Bytes, BackendError> + Send + Sync + 'static,
    ) -> Self {
        let limits = Limits::unlimited(hold.max(1));
        Self { limits, answer: Box::new(answer), held: Mutex::default() }
    }

    /// Each output is the input, encoded as it came.
    pub fn echo(hold: usize) -> Self {
        Self::new(hold, echo)
    }

    /// Most invocations that were held at once so far.
    pub fn most_held(&self) -> usize {
        self.lock().most
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when the round that `place` names is over. The first of a round ends it when it finds that no others
    /// have come since it was last polled.
    fn poll(&self, place: &mut Option<Place>, cx: &Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        match place {
            None => {
                *place = Some(Place { round: held.round, number: held.wakers.len(), seen: 0 });
                held.wakers.push(cx.waker().clone());
                held.most = held.most.max(held.wakers.len());
            }
            Some(place) if place.round < held.round => return Poll::Ready(()),
            Some(Place { number: 0, seen, .. }) if *seen == held.wakers.len() => {
                held.answer();
                return Poll::Ready(());
            }
            Some(place) => {
                // Whoever polls may have changed.
                let waker = &mut held.wakers[place.number];
                if !waker.will_wake(cx.waker()) {
                    waker.clone_from(cx.waker());
                }
            }
        }
        if held.wakers.len() >= self.limits.concurrency {
            held.answer();
            return Poll::Ready(());
        }
        if let Some(Place { number: 0, seen, .. }) = place {
            *seen = held.wakers.len();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Where an invocation stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    round: u64,
    number: usize,
    /// How many were held when it was last polled.
    seen: usize,
}

impl Held {
    fn answer(&mut self) {
        self.round += 1;
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// Gives a round up that its first invocation, which would end it, leaves.
struct Leave<'a> {
    invoker: &'a InstantInvoker,
    place: Option<Place>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(Place { round, number: 0, .. }) = self.place {
            let mut held = self.invoker.lock();
            if held.round == round {
                held.answer();
            }
        }
    }
}

fn echo(invocation: &Invocation) -> Result<Bytes, BackendError> {
    let malformed = |what: &dyn fmt::Display| BackendError::new(ErrorClass::Internal, what.to_string());
    let Payload::Inline(parts) = &invocation.inputs else {
        return Err(malformed(&"an invoker without workers takes inline inputs only"));
    };
    let mut records = Vec::new();
    for part in parts {
        let mut at = 0;
        while at < part.len() {
            let (body, len) = split_input(&part[at..]).map_err(|error| malformed(&error))?;
            append_result(&mut records, ResultTag::Output, |out| {
                out.extend_from_slice(body);
                Ok::<(), BackendError>(())
            })?;
            at += len;
        }
    }
    Ok(Bytes::from(records))
}

#[async_trait]
impl Invoker for InstantInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, _: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let mut leave = Leave { invoker: self, place: None };
        poll_fn(|cx| self.poll(&mut leave.place, cx)).await;
        let records = (self.answer)(&invocation)?;
        let results = vec![ResultBatch { offset: 0, count: invocation.count, records }];
        Ok(Reply { results, ..Reply::default() })
    }

    async fn invoke_detached(&self, _: Invocation) -> Result<(), BackendError> {
        Err(BackendError::new(ErrorClass::Invalid, "there are no workers that could go on by themselves"))
    }

    async fn shutdown(&self) {}
}

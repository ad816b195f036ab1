//! [`Job`]: a job under way.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::builder::many_failed;
use super::decode::{Elements, output, task_failed};
use super::futures::{self, Table, TaskFuture};
use super::handle::Executor;
use super::ordered::Ordered;
use super::watch::JobHandle;
use crate::error::{Error, Result};
use crate::failure::TaskError;
use crate::scheduler::outbox::Delivery;
use crate::scheduler::stats::{JobStats, Progress};

/// What to wait for, see [`Job::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until every element is finished.
    All,
    /// Until any element is finished.
    Any,
    /// Until this many elements are finished, or all if there are fewer.
    Count(u64),
    /// Not at all: just look.
    Always,
}

/// What keeps a job going: when the last holder is gone, the job is cancelled, or left alone if anything of it is kept.
pub(super) struct JobCore {
    pub(super) handle: JobHandle,
    /// Keeps the driver and the workers alive.
    pub(super) executor: Executor,
    pub(super) table: Arc<OnceLock<Arc<Table>>>,
}

impl Drop for JobCore {
    fn drop(&mut self) {
        self.handle.let_go();
    }
}

/// A job under way, or finished.
///
/// As a [`Stream`] it yields `(index, output)` in completion order, while others still run. A slow reader slows
/// the job down: what is computed and not yet read is bounded. [`wait`](Self::wait), [`results`](Self::results)
/// and [`futures`](Self::futures) lift that bound.
///
/// Dropping it cancels the job. Of a job that is resumed, durable or attached to, what is finished is kept, and
/// somebody else may go on with the rest: only [`cancel`](Self::cancel) ends it for good.
pub struct Job<O> {
    core: Arc<JobCore>,
    current: Option<Elements>,
    failed: bool,
    output: PhantomData<fn() -> O>,
}

impl<O> fmt::Debug for Job<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id())
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

impl<O> Job<O> {
    pub(super) fn new(core: JobCore) -> Self {
        Self { core: Arc::new(core), current: None, failed: false, output: PhantomData }
    }

    /// The job's unique name.
    pub fn id(&self) -> &str {
        self.core.handle.id()
    }

    /// The label it was given.
    pub fn label(&self) -> &str {
        self.core.handle.label()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.core.handle.progress()
    }

    /// What it has cost so far.
    pub fn stats(&self) -> JobStats {
        self.core.handle.stats()
    }

    /// A look at the job that does not keep it going.
    pub fn handle(&self) -> JobHandle {
        self.core.handle.clone()
    }

    /// Stops the job. Workers are stopped as soon as the provider lets them be; results that were delivered stay.
    pub fn cancel(&self) {
        self.core.handle.outbox.commands().cancel();
    }

    /// Waits until as many elements are finished as `wait` says, or the job has ended, and gives the progress then.
    /// Results stay where they are.
    pub async fn wait(&mut self, wait: Wait) -> Progress {
        let outbox = &self.core.handle.outbox;
        // Nobody reads meanwhile: the job must not wait for that.
        outbox.hold_all();
        poll_fn(|cx| {
            outbox.poll_watch(cx, |progress, _| match wait {
                Wait::All => false,
                Wait::Any => progress.finished() > 0,
                Wait::Count(count) => progress.finished() >= count,
                Wait::Always => true,
            })
        })
        .await;
        outbox.progress()
    }

    /// One future per input, in input order. Elements fail one by one: a failed element does not stop the others.
    ///
    /// For inputs of unknown length it first takes them all. The job itself yields nothing after this.
    pub async fn futures(&mut self) -> Result<Vec<TaskFuture<O>>> {
        futures::futures(&self.core).await
    }

    /// The next delivery, undecoded.
    pub(super) async fn next_delivery(&mut self) -> Option<Result<Delivery>> {
        poll_fn(|cx| self.core.handle.outbox.poll_next(cx)).await
    }

    pub(super) fn core(&self) -> &Arc<JobCore> {
        &self.core
    }
}

impl<O: DeserializeOwned> Job<O> {
    /// The next output in completion order, with the index of its input; `None` when all were given.
    ///
    /// An error is either a failed element's, and others follow, or the job's end: `None` follows.
    pub async fn next(&mut self) -> Option<Result<(u64, O)>> {
        poll_fn(|cx| self.poll_output(cx)).await
    }

    fn poll_output(&mut self, cx: &Context<'_>) -> Poll<Option<Result<(u64, O)>>> {
        loop {
            if let Some(elements) = &mut self.current {
                match elements.next() {
                    Some(Ok((index, Ok(body)))) => {
                        return Poll::Ready(Some(output(index, body).map(|value| (index, value))));
                    }
                    Some(Ok((_, Err(error)))) => return Poll::Ready(Some(Err(task_failed(error)))),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => {
                        let weight = elements.weight();
                        self.current = None;
                        self.core.handle.outbox.release(weight);
                    }
                }
            }
            if self.failed {
                return Poll::Ready(None);
            }
            match ready!(self.core.handle.outbox.poll_next(cx)) {
                Some(Ok(delivery)) => self.current = Some(Elements::new(delivery)),
                Some(Err(error)) => {
                    self.failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(None),
            }
        }
    }

    /// All outputs in input order. The first failure of a job that stops at failures is the error; a job that
    /// collects them runs to its end and then reports them all.
    pub async fn results(self) -> Result<Vec<O>> {
        let label = self.core.handle.label.clone();
        let mut failed = Vec::new();
        let mut outputs = Vec::new();
        let total = self
            .gather(|_, outcome| match outcome {
                Ok(value) => outputs.push(value),
                Err(error) => failed.push(error),
            })
            .await?;
        if failed.is_empty() { Ok(outputs) } else { Err(many_failed(&label, total, failed)) }
    }

    /// Each input's outcome in input order, once the job has ended. Failed elements do not stop the job.
    pub async fn outcomes(self) -> Result<Vec<Result<O, TaskError>>> {
        self.core.handle.outbox.collect_errors();
        let mut outcomes = Vec::new();
        self.gather(|_, outcome| outcomes.push(outcome)).await?;
        Ok(outcomes)
    }

    /// A stream of the outputs in input order. Outputs that come early wait; how many bytes of them is bounded.
    pub fn ordered(self) -> Ordered<O> {
        Ordered::new(self)
    }

    /// Hands every outcome on, in input order; says how many there were.
    async fn gather(mut self, mut take: impl FnMut(u64, Result<O, TaskError>)) -> Result<usize> {
        let mut early: BTreeMap<u64, Elements> = BTreeMap::new();
        let mut next = 0;
        loop {
            let mut elements = match self.current.take() {
                Some(elements) if elements.left() > 0 => elements,
                // All of it is wanted, and nobody sees a part of it.
                _ => match poll_fn(|cx| self.core.handle.outbox.poll_next_unhurried(cx)).await {
                    Some(delivery) => Elements::new(delivery?),
                    None => break,
                },
            };
            // All of it is wanted, however much it is.
            self.core.handle.outbox.release(elements.weight());
            if elements.first() != next {
                early.insert(elements.first(), elements);
                continue;
            }
            loop {
                while let Some(outcome) = elements.next() {
                    let (index, outcome) = outcome?;
                    let outcome = outcome.map(|body| output(index, body)).transpose_error()?;
                    take(index, outcome);
                    next = index + 1;
                }
                match early.remove(&next) {
                    Some(found) => elements = found,
                    None => break,
                }
            }
        }
        // Outputs that were taken one by one before leave holes in front of those that are left.
        for mut elements in early.into_values() {
            while let Some(outcome) = elements.next() {
                let (index, outcome) = outcome?;
                let outcome = outcome.map(|body| output(index, body)).transpose_error()?;
                take(index, outcome);
                next += 1;
            }
        }
        Ok(usize::try_from(next).unwrap_or(usize::MAX))
    }
}

/// `Result<Result<T, Error>, TaskError>` with the outer error out in front.
pub(super) trait TransposeError<T> {
    fn transpose_error(self) -> Result<Result<T, TaskError>, Error>;
}

impl<T> TransposeError<T> for Result<Result<T, Error>, TaskError> {
    fn transpose_error(self) -> Result<Result<T, TaskError>, Error> {
        match self {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(error)) => Err(error),
            Err(failed) => Ok(Err(failed)),
        }
    }
}

impl<O: DeserializeOwned> Stream for Job<O> {
    type Item = Result<(u64, O)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_output(cx)
    }
}

//! [`MapBuilder`]: what `map` and its siblings return.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::feeder::Inputs;
use super::handle::Executor;
use super::spawn::Keeps;
use crate::error::{Error, ErrorKind, Result};
use crate::failure::TaskError;
use crate::invoker::Passing;
use crate::price::Usd;
use crate::scheduler::input::InputSource;
use crate::scheduler::retry::RetryPolicy;
use crate::scheduler::{Backups, Budget, JobOptions, OnError};
use crate::task::Described;

/// Futures of an async function that one worker runs at once, unless told otherwise.
const ASYNC_CONCURRENCY: u32 = 100;

/// A job that has not begun. Await it for all outputs in input order, or [`spawn`](Self::spawn) it for a `Job`.
#[must_use = "nothing runs until the builder is awaited or spawned"]
pub struct MapBuilder<O> {
    pub(super) executor: Executor,
    described: Described,
    source: Source,
    shared: Result<Option<Vec<u8>>>,
    is_async: bool,
    label: Option<String>,
    timeout: Option<Duration>,
    concurrency: Option<u32>,
    chunk_size: Option<u32>,
    workers: Option<usize>,
    retries: Option<u32>,
    on_error: OnError,
    backups: Backups,
    pub(super) budget: Budget,
    resume: bool,
    durable: bool,
    passing: Passing,
    output: PhantomData<fn() -> O>,
}

pub(super) enum Source {
    Typed(Inputs),
    Encoded(Box<dyn InputSource>),
}

impl<O> fmt::Debug for MapBuilder<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBuilder").field("label", &self.label).finish_non_exhaustive()
    }
}

impl<O> MapBuilder<O> {
    pub(super) fn new(executor: Executor, described: Described, inputs: Inputs, is_async: bool) -> Self {
        Self::with_source(executor, described, Source::Typed(inputs), is_async)
    }

    /// A job whose inputs are encoded already.
    pub(super) fn encoded(
        executor: Executor,
        described: Described,
        source: Box<dyn InputSource>,
        is_async: bool,
    ) -> Self {
        Self::with_source(executor, described, Source::Encoded(source), is_async)
    }

    fn with_source(executor: Executor, described: Described, source: Source, is_async: bool) -> Self {
        let defaults = executor.inner.defaults.clone();
        Self {
            executor,
            described,
            source,
            shared: Ok(None),
            is_async,
            label: None,
            timeout: defaults.timeout,
            concurrency: defaults.concurrency,
            chunk_size: defaults.chunk_size,
            workers: defaults.workers,
            retries: defaults.retries,
            on_error: OnError::default(),
            backups: Backups::default(),
            budget: defaults.budget,
            resume: false,
            durable: false,
            passing: Passing::default(),
            output: PhantomData,
        }
    }

    pub(super) fn shared(mut self, shared: Result<Vec<u8>>) -> Self {
        self.shared = shared.map(Some);
        self
    }

    /// How inputs come from the job before, and outputs go to the job behind.
    pub(super) fn passing(mut self, passing: Passing) -> Self {
        self.passing = passing;
        self
    }

    /// A name for people: in progress, logs and errors. The function's own name by default.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Elements per invocation, at least 1; fewer only at the end of the inputs, and where 8 MiB of inputs have come
    /// together. By default it adapts to how long elements take.
    pub fn chunk_size(mut self, elements: u32) -> Self {
        self.chunk_size = Some(elements.max(1));
        self
    }

    /// Most workers that run this job at once, at least 1. By default all that the provider allows.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Further attempts at an element after any failure. By default none after what the function itself reports
    /// (a panic, an `Err`), and a few where its process or machine may have been at fault.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// How long one element may run. Its process is killed when it does not end; the element has failed with
    /// [`FailureKind::TimedOut`](crate::failure::FailureKind::TimedOut). No limit by default.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// What a final failure of an element means for the others. They stop, by default.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Whether what slow workers still have at the job's end is run a second time elsewhere. By default where the
    /// provider's workers differ in speed.
    pub fn backups(mut self, backups: Backups) -> Self {
        self.backups = backups;
        self
    }

    /// What the job may cost, in US dollars, by its provider's published prices for workers' time and calls; storage and
    /// traffic come on top. Less than nothing is nothing.
    ///
    /// The limit is never exceeded: the worst case of everything that is under way counts before more is sent, retries
    /// and backups as well. That is why something must limit how long an invocation may take, the provider or a
    /// [`timeout`](Self::timeout), and why little is under way at once where little is left. When another invocation
    /// might be too much, what is under way finishes, and the job ends with [`ErrorKind::Budget`]. Results until then
    /// are delivered.
    pub fn budget_usd(mut self, dollars: f64) -> Self {
        self.budget.cost = Some(Usd::saturating(dollars));
        self
    }

    /// Most invocations of the job, those that fail or are repeated included. What a provider refuses for now does not
    /// count. The job ends as with [`budget_usd`](Self::budget_usd).
    pub fn max_invocations(mut self, invocations: u64) -> Self {
        self.budget.invocations = Some(invocations);
        self
    }

    /// Most time that the job may take from all its workers together, their start included. The job ends as with
    /// [`budget_usd`](Self::budget_usd), and the same things are needed to keep to it.
    pub fn max_worker_time(mut self, time: Duration) -> Self {
        self.budget.worker_time = Some(time);
        self
    }

    /// How many elements one function process works on at once, at least 1: threads for plain functions (1 by
    /// default: a process per core is safer), futures for async ones (100 by default).
    pub fn concurrency(mut self, elements: u32) -> Self {
        self.concurrency = Some(elements.max(1));
        self
    }

    /// The same job, its outputs named by another type.
    pub(super) fn of_output<P>(self) -> MapBuilder<P> {
        MapBuilder {
            executor: self.executor,
            described: self.described,
            source: self.source,
            shared: self.shared,
            is_async: self.is_async,
            label: self.label,
            timeout: self.timeout,
            concurrency: self.concurrency,
            chunk_size: self.chunk_size,
            workers: self.workers,
            retries: self.retries,
            on_error: self.on_error,
            backups: self.backups,
            budget: self.budget,
            resume: self.resume,
            durable: self.durable,
            passing: self.passing,
            output: PhantomData,
        }
    }

    /// Makes the job that reduces this one's outputs, under the same rules, once there is input for it.
    pub(super) fn sibling<R>(
        &self,
        described: Described,
    ) -> impl FnOnce(Box<dyn InputSource>) -> MapBuilder<R> + use<O, R> {
        let executor = self.executor.clone();
        let label = format!("{}/reduce", self.shown_label());
        let (timeout, retries) = (self.timeout, self.retries);
        move |source| MapBuilder {
            timeout,
            retries,
            label: Some(label),
            ..MapBuilder::with_source(executor, described, Source::Encoded(source), false)
        }
    }

    /// The label it will have.
    pub(super) fn shown_label(&self) -> &str {
        self.label.as_deref().unwrap_or_else(|| self.described.short_name())
    }

    /// Keeps the results of the job, by what its inputs are: when the same program is run again, after it was killed or
    /// with other inputs, only what has no result yet is run, and the others' results are there at once.
    ///
    /// The same program, function and shared value are needed: after a change to any of them everything is run anew.
    /// Inputs are the same if they are encoded the same; an input that comes several times has as many results. Failed
    /// elements are tried again.
    ///
    /// A result is told once it is stored; that takes a little longer, and about 100 bytes of memory for each input.
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Keeps everything of the job, inputs and results: when this program ends early, any program that has the storage
    /// can [attach](Executor::attach) to the job by its [id](super::Job::id) and goes on with the rest.
    ///
    /// All inputs are stored before the first of them is run. A result is told once it is stored. Dropping the
    /// [`Job`](super::Job) leaves the job in storage; [`cancel`](super::Job::cancel) ends it for good.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// What will be kept of the job, or why it cannot be run as it is asked for.
    pub(super) fn keeps(&self) -> Result<Keeps> {
        match (self.resume, self.durable) {
            (false, false) => Ok(Keeps::Nothing),
            (true, false) => Ok(Keeps::Results),
            (false, true) => Ok(Keeps::Everything),
            (true, true) => {
                let message =
                    format!("job {} is to be resumed and to be durable or detached", self.shown_label());
                Err(Error::new(ErrorKind::Config, message).with_hint(
                    "take one: `.resume()` keeps results for the next run of the program, `.durable()` and \
                     `.detach()` keep inputs as well, for `attach`",
                ))
            }
        }
    }

    /// What it has collected.
    pub(super) fn into_parts(self) -> Result<(Executor, Parts)> {
        let label = self.shown_label().to_owned();
        let default_concurrency = if self.is_async { ASYNC_CONCURRENCY } else { 1 };
        let options = JobOptions {
            chunk_size: self.chunk_size,
            workers: self.workers,
            retry: RetryPolicy { retries: self.retries },
            on_error: self.on_error,
            backups: self.backups,
            budget: self.budget,
            passing: self.passing,
            seed: fastrand::u64(..),
            ..JobOptions::default()
        };
        let parts = Parts {
            described: self.described,
            source: self.source,
            shared: self.shared?,
            label,
            task_timeout: self.timeout,
            concurrency: self.concurrency.unwrap_or(default_concurrency),
            options,
        };
        Ok((self.executor, parts))
    }

    /// Runs the job to its end and gives each input's outcome, in input order: its output or why there is none. A
    /// failed element does not stop the others.
    pub async fn outcomes(self) -> Result<Vec<Result<O, TaskError>>>
    where
        O: DeserializeOwned,
    {
        self.on_error(OnError::Collect).spawn().await?.outcomes().await
    }
}

/// What a builder has collected.
pub(super) struct Parts {
    pub(super) described: Described,
    pub(super) source: Source,
    pub(super) shared: Option<Vec<u8>>,
    pub(super) label: String,
    pub(super) task_timeout: Option<Duration>,
    pub(super) concurrency: u32,
    pub(super) options: JobOptions,
}

impl<O: DeserializeOwned + Send + 'static> IntoFuture for MapBuilder<O> {
    type Output = Result<Vec<O>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Vec<O>>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let job = self.spawn().await?;
            job.results().await
        })
    }
}

/// The error of a job several of whose tasks failed.
pub(super) fn many_failed(label: &str, total: usize, failed: Vec<TaskError>) -> Error {
    match &failed[..] {
        [] => Error::new(ErrorKind::Internal, "a job failed without a failed task"),
        [only] => Error::from_task(only.clone()),
        [first, ..] => {
            let (first, repro) = (first.describe(), first.repro.clone());
            let message =
                format!("{} of {total} tasks of job {label} failed; the first: {first}", failed.len());
            let error = Error::from_tasks(message, failed);
            match repro {
                Some(repro) => error.with_hint(repro),
                None => error,
            }
        }
    }
}

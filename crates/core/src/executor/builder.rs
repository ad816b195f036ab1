//! [`MapBuilder`]: what `map` and its siblings return.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::feeder::{Fed, Inputs};
use super::handle::Executor;
use super::job::{Job, JobCore};
use super::watch::{JobHandle, JobObserver};
use crate::durable::JobId;
use crate::error::{Error, ErrorKind, Result};
use crate::failure::TaskError;
use crate::invoker::{JobSpec, Payload};
use crate::scheduler::input::InputSource;
use crate::scheduler::outbox::Outbox;
use crate::scheduler::retry::RetryPolicy;
use crate::scheduler::{Commands, JobOptions, JobRun, OnError};
use crate::task::Described;

/// Futures of an async function that one worker runs at once, unless told otherwise.
const ASYNC_CONCURRENCY: u32 = 100;

/// A job that has not begun. Await it for all outputs in input order, or [`spawn`](Self::spawn) it for a [`Job`].
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
    output: PhantomData<fn() -> O>,
}

enum Source {
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
            output: PhantomData,
        }
    }

    pub(super) fn shared(mut self, shared: Result<Vec<u8>>) -> Self {
        self.shared = shared.map(Some);
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

    /// Starts the job and returns at once; it runs whether or not the [`Job`] is looked at, until its result
    /// buffer is full.
    pub async fn spawn(self) -> Result<Job<O>> {
        let executor = self.executor.clone();
        let inner = &executor.inner;
        let limits = inner.resources.invoker.limits();
        let label = self.shown_label().to_owned();
        let job_id = inner.next_job_id();
        let id = job_id.to_string();
        let shared = self.shared?;
        let image = inner.program.prepare(limits, &inner.resources.storage, &inner.driver).await?;
        let shared = match shared {
            None => None,
            Some(bytes) => {
                Some(place_shared(&executor, &job_id, Bytes::from(bytes), limits.max_inline_input).await?)
            }
        };
        let default_concurrency = if self.is_async { ASYNC_CONCURRENCY } else { 1 };
        let spec = JobSpec {
            id: id.clone(),
            label: label.clone(),
            entry: self.described.entry(image),
            shared,
            task_timeout: self.timeout,
            concurrency: self.concurrency.unwrap_or(default_concurrency),
        };
        let options = JobOptions {
            chunk_size: self.chunk_size,
            workers: self.workers,
            retry: RetryPolicy { retries: self.retries },
            on_error: self.on_error,
            seed: fastrand::u64(..),
            ..JobOptions::default()
        };
        let source: Box<dyn InputSource> = match self.source {
            Source::Typed(inputs) => Box::new(Fed::start(inputs)?),
            Source::Encoded(source) => source,
        };
        let outbox = Outbox::new(Commands::default(), options.result_buffer);
        let (id, label): (Arc<str>, Arc<str>) = (id.into(), label.into());
        let table = Arc::new(OnceLock::new());
        let watcher = inner.watcher.clone();
        outbox.observe(Arc::new(JobObserver {
            id: Arc::clone(&id),
            label: Arc::clone(&label),
            watcher,
            table: Arc::clone(&table),
        }));
        let handle = JobHandle { id, label, outbox: outbox.clone() };
        if let Some(watcher) = &inner.watcher {
            watcher.started(handle.clone());
        }
        inner.driver.spawn(JobRun::new(Arc::new(spec), options, source, outbox, inner.resources.clone()));
        Ok(Job::new(JobCore { handle, executor, table }))
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

/// The shared value as it will travel: inline with the job if it is small, otherwise through storage.
async fn place_shared(executor: &Executor, job: &JobId, bytes: Bytes, inline: usize) -> Result<Payload> {
    // What a job carries to each worker leaves room for that worker's first inputs.
    if bytes.len() <= inline / 2 {
        return Ok(Payload::Inline(vec![bytes]));
    }
    let len = bytes.len() as u64;
    let key = job.shared_key()?;
    let stored = executor.storage().put(&key, bytes).await;
    stored.map_err(|error| Error::from(error).context("the shared value could not be stored"))?;
    Ok(Payload::Stored { key: key.to_string(), offset: 0, len })
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

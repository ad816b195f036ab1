//! [`Executor`]: where functions are mapped.

use std::fmt;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::builder::MapBuilder;
use super::driver::Driver;
use super::feeder::Inputs;
use super::program::{Program, ProgramSource};
use super::reduce::MapReduceBuilder;
use super::storage::{DrivenStorage, Home};
use super::watch::Watcher;
use crate::clock::{Clock, TokioClock};
use crate::codec;
use crate::config::Carried;
use crate::durable::{DEFAULT_LEASE, JobId, Owner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::invoker::{Invoker, Limits};
use crate::scheduler::slots::Slots;
use crate::scheduler::{Budget, Resources};
use crate::storage::Storage;
use crate::task;

/// What holds for a job unless its builder says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    /// See [`MapBuilder::retries`].
    pub retries: Option<u32>,
    /// See [`MapBuilder::timeout`].
    pub timeout: Option<Duration>,
    /// See [`MapBuilder::chunk_size`].
    pub chunk_size: Option<u32>,
    /// See [`MapBuilder::workers`].
    pub workers: Option<usize>,
    /// See [`MapBuilder::concurrency`].
    pub concurrency: Option<u32>,
    /// See [`MapBuilder::budget_usd`], [`MapBuilder::max_invocations`] and [`MapBuilder::max_worker_time`].
    pub budget: Budget,
    /// For how long whoever drives a durable job may give no sign of life before another one goes on with it; 15 s when
    /// not given.
    pub lease: Option<Duration>,
}

/// Maps functions over workers. Cheap to clone; all clones share workers and slots.
///
/// Any number of jobs may run at once on one executor; they share its slots fairly. Workers started for one job
/// stay warm for the next. When the last clone and the last [`Job`](super::Job) are gone, the workers are ended.
#[derive(Clone)]
pub struct Executor {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) driver: Driver,
    pub(super) resources: Resources,
    pub(super) program: Program,
    pub(super) defaults: Defaults,
    pub(super) watcher: Option<Arc<dyn Watcher>>,
    /// What a process that is to use the same storage and workers is told.
    pub(super) carried: Carried,
    owner: OnceLock<Owner>,
    jobs: AtomicU64,
    /// Seconds since 1970, and a random number: what the names of its jobs begin with.
    started: u64,
    random: u32,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("invoker", &self.inner.resources.invoker).finish_non_exhaustive()
    }
}

/// Makes an [`Executor`] from parts.
#[derive(Default)]
pub struct ExecutorBuilder {
    program: ProgramSource,
    cache_dir: Option<PathBuf>,
    defaults: Defaults,
    watcher: Option<Arc<dyn Watcher>>,
    carried: Carried,
}

impl fmt::Debug for ExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorBuilder").field("program", &self.program).finish_non_exhaustive()
    }
}

impl ExecutorBuilder {
    /// Which program the workers run; the running one by default.
    pub fn program(mut self, program: ProgramSource) -> Self {
        self.program = program;
        self
    }

    /// The folder in which the program's image is remembered between runs; none by default.
    pub fn cache_dir(mut self, dir: Option<PathBuf>) -> Self {
        self.cache_dir = dir;
        self
    }

    /// What holds for its jobs unless their builders say otherwise.
    pub fn defaults(mut self, defaults: Defaults) -> Self {
        self.defaults = defaults;
        self
    }

    /// Is told about jobs and their tasks' output.
    pub fn watcher(mut self, watcher: Option<Arc<dyn Watcher>>) -> Self {
        self.watcher = watcher;
        self
    }

    /// The configuration of its storage and its workers, for processes that go on with its jobs when this program has
    /// ended. Those find the configuration of their surroundings by themselves.
    pub fn carried(mut self, carried: Carried) -> Self {
        self.carried = carried;
        self
    }

    /// The executor over an invoker and a storage. `connect` is run on the executor's own thread and makes them:
    /// what a backend spawns lives there.
    pub async fn build<F, Fut>(self, connect: F) -> Result<Executor>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(Arc<dyn Invoker>, Arc<dyn Storage>)>> + Send,
    {
        if self.program != ProgramSource::InProcess {
            crate::init::check()?;
        }
        let mut driver = Driver::start()?;
        let (invoker, storage) = driver.run(async move { connect().await }).await??;
        driver.invoker = Some(Arc::clone(&invoker));
        let program = match self.program {
            // Where no program is sent, this one is run.
            ProgramSource::File(_) | ProgramSource::Built { .. } if !invoker.limits().ships_image => {
                ProgramSource::ThisProgram
            }
            program => program,
        };
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        let slots = Slots::new(invoker.limits());
        #[expect(clippy::disallowed_methods, reason = "a job's name says when its program ran")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Executor {
            inner: Arc::new(Inner {
                driver,
                resources: Resources { invoker, storage, clock, slots },
                program: Program::new(program, self.cache_dir),
                defaults: self.defaults,
                watcher: self.watcher,
                carried: self.carried,
                owner: OnceLock::new(),
                jobs: AtomicU64::new(0),
                started: since_epoch.as_secs(),
                random: fastrand::u32(..1 << 24),
            }),
        })
    }
}

impl Inner {
    /// Where durable jobs are kept.
    pub(super) fn store(&self) -> Store {
        Store::new(Arc::clone(&self.resources.storage), Arc::clone(&self.resources.clock))
    }

    /// This process, as the driver of one more job.
    pub(super) fn owner(&self) -> Owner {
        let owner = self.owner.get_or_init(|| Owner::of_process(self.program.path()));
        Owner { token: fastrand::u64(..), ..owner.clone() }
    }

    /// How long a sign of life holds.
    pub(super) fn lease(&self) -> Duration {
        self.defaults.lease.unwrap_or(DEFAULT_LEASE)
    }

    /// A job id: time of the executor's start, a random number, and a count.
    pub(super) fn next_job_id(&self) -> JobId {
        JobId::numbered(self.started, self.random, self.jobs.fetch_add(1, Ordering::Relaxed))
    }
}

impl Executor {
    /// A builder, for programs that bring their own backend. Most call `Executor::connect`.
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder::default()
    }

    /// What the provider allows.
    pub fn limits(&self) -> &Limits {
        self.inner.resources.invoker.limits()
    }

    /// The storage of the configuration, for the program's own objects. Keys below `images/` and `jobs/` are RustWren's:
    /// they can be read, and not be changed. It can be used on any thread, and keeps the executor alive. Tasks have the
    /// same storage as [`task().storage()`](crate::task::context::Task::storage).
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(DrivenStorage { home: Arc::clone(&self.inner) as Arc<dyn Home> })
    }

    /// Maps a function over inputs: one task per input, results in input order.
    ///
    /// The function is a plain `fn`, a closure that captures nothing, or a `#[remote]` function. It runs in other
    /// processes, so it sees none of this process's memory: not its statics as they are now, not its threads. A
    /// closure that captures does not compile; pass what it needs with [`map_with`](Self::map_with) or in each input.
    ///
    /// Nothing happens until the builder is awaited or spawned.
    pub fn map<F, I, O, It>(&self, f: F, inputs: It) -> MapBuilder<O>
    where
        F: Fn(I) -> O + Copy + Send + Sync + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        MapBuilder::new(self.clone(), task::map(f), Inputs::new(inputs.into_iter()), false)
    }

    /// Maps a function that may fail. A task that returns `Err` has failed, with the error's text as the message;
    /// it is tried again if the job's retries say so.
    pub fn try_map<F, I, O, E, It>(&self, f: F, inputs: It) -> MapBuilder<O>
    where
        F: Fn(I) -> Result<O, E> + Copy + Send + Sync + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        E: Display + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        MapBuilder::new(self.clone(), task::try_map(f), Inputs::new(inputs.into_iter()), false)
    }

    /// Maps an async function. Each worker runs many of its futures at once, see [`MapBuilder::concurrency`], on a
    /// tokio runtime of its own.
    pub fn map_async<F, I, U, O, It>(&self, f: F, inputs: It) -> MapBuilder<O>
    where
        F: Fn(I) -> U + Copy + Send + Sync + 'static,
        U: Future<Output = O> + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        MapBuilder::new(self.clone(), task::map_async(f), Inputs::new(inputs.into_iter()), true)
    }

    /// Maps an async function that may fail; see [`try_map`](Self::try_map) and [`map_async`](Self::map_async).
    pub fn try_map_async<F, I, U, O, E, It>(&self, f: F, inputs: It) -> MapBuilder<O>
    where
        F: Fn(I) -> U + Copy + Send + Sync + 'static,
        U: Future<Output = Result<O, E>> + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        E: Display + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        MapBuilder::new(self.clone(), task::try_map_async(f), Inputs::new(inputs.into_iter()), true)
    }

    /// Maps a function over inputs with a value that all of them share. The value is sent to each worker once
    /// and decoded there once.
    pub fn map_with<F, S, I, O, It>(&self, shared: &S, f: F, inputs: It) -> MapBuilder<O>
    where
        F: Fn(&S, I) -> O + Copy + Send + Sync + 'static,
        S: Serialize + DeserializeOwned + Send + Sync + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        let inputs = Inputs::new(inputs.into_iter());
        MapBuilder::new(self.clone(), task::map_with(f), inputs, false).shared(encode_shared(shared))
    }

    /// [`map_with`](Self::map_with) for a function that may fail; see [`try_map`](Self::try_map).
    pub fn try_map_with<F, S, I, O, E, It>(&self, shared: &S, f: F, inputs: It) -> MapBuilder<O>
    where
        F: Fn(&S, I) -> Result<O, E> + Copy + Send + Sync + 'static,
        S: Serialize + DeserializeOwned + Send + Sync + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        E: Display + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        let inputs = Inputs::new(inputs.into_iter());
        MapBuilder::new(self.clone(), task::try_map_with(f), inputs, false).shared(encode_shared(shared))
    }

    /// Calls a function once, on a worker.
    pub async fn call<F, I, O>(&self, f: F, input: I) -> Result<O>
    where
        F: Fn(I) -> O + Copy + Send + Sync + 'static,
        I: Serialize + DeserializeOwned + Send + 'static,
        O: Serialize + DeserializeOwned + Send + 'static,
    {
        let outputs = self.map(f, std::iter::once(input)).await?;
        outputs
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a call ended without an output"))
    }

    /// Maps a function over inputs and reduces the outputs, all of them at once and in input order, to one value,
    /// on a worker as well: the outputs are not decoded on their way through this process.
    pub fn map_reduce<F, G, I, O, R, It>(&self, map: F, reduce: G, inputs: It) -> MapReduceBuilder<R>
    where
        F: Fn(I) -> O + Copy + Send + Sync + 'static,
        G: Fn(Vec<O>) -> R + Copy + Send + Sync + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        It: IntoIterator<Item = I>,
        It::IntoIter: Send + 'static,
    {
        let builder: MapBuilder<O> =
            MapBuilder::new(self.clone(), task::map(map), Inputs::new(inputs.into_iter()), false);
        MapReduceBuilder::new(builder, task::map(reduce))
    }
}

fn encode_shared<S: Serialize>(shared: &S) -> Result<Vec<u8>> {
    codec::to_vec(shared).map_err(|error| {
        let name = std::any::type_name::<S>();
        Error::new(ErrorKind::Config, format!("the shared value, a {name}, cannot be encoded: {error}"))
    })
}

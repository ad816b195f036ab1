//! [`Pipeline`]: a collection through several steps, on workers and in this process.

mod account;
mod baseline;
mod fuse;
mod piped;
mod report;
mod run;
mod sequential;
mod settings;
mod stream;

use std::fmt;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use report::{PipelineReport, SerialBaseline, StepKind, StepReport};
pub use run::PipelineOutput;
pub use stream::PipelineStream;

use self::sequential::Sequential;
use self::settings::Settings;
use super::feeder::Inputs;
use crate::scheduler::OnError;
use crate::task::{Described, step};

/// Items longer than so many bytes stay in storage between two jobs of a pipeline. See `docs/decisions/0011-passing.md`.
const STORE_ABOVE: u64 = 64 << 10;

/// A collection that goes through steps. [`run`](Self::run) gives what comes out and a report.
///
/// ```no_run
/// # use rustwren_core::executor::{Executor, Pipeline};
/// # async fn example(executor: &Executor) -> Result<(), rustwren_core::error::Error> {
/// let done = Pipeline::new(1..=1_000_u64)
///     .map(|x| x * x) // on workers, one item at a time
///     .parallel(|list: Vec<u64>| list.into_iter().filter(|x| x % 3 == 0).collect::<Vec<_>>()) // on workers, in lists
///     .sequential(|mut list: Vec<u64>| {
///         list.reverse(); // here, the whole list
///         list
///     })
///     .run(executor)
///     .await?;
/// println!("{}", done.report);
/// # Ok(())
/// # }
/// ```
///
/// - Order is kept: what comes out stands in the order of the inputs it comes from.
/// - A **parallel** step runs on workers. Neighbouring parallel steps run together in one worker, and what passes
///   between them stays there, unless one of them has settings of its own (the methods from
///   [`workers`](Self::workers) to [`label`](Self::label), which are about the step before them), or an async step
///   and a step over lists meet. Such steps are jobs of their own that stream into each other: an item may be in the
///   second while others are still in the first.
/// - A **sequential** step sees the whole list, in this process. It begins when all before it have ended.
///
/// Functions of parallel steps are as those of [`Executor::map`](super::Executor::map): plain functions, closures
/// that capture nothing, `#[remote]` functions. Those of sequential steps may capture.
#[must_use = "nothing runs until `run` or `stream`"]
pub struct Pipeline<T> {
    stages: Vec<Stage>,
    inputs: Inputs,
    on_error: OnError,
    samples: u32,
    store_above: u64,
    items: PhantomData<fn() -> T>,
}

/// One step.
enum Stage {
    Parallel(Parallel),
    Sequential(Sequential),
}

/// A step on workers.
struct Parallel {
    described: Described,
    takes: Takes,
    label: String,
    settings: Settings,
}

/// What a step's function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Item,
    ItemAsync,
    List,
}

impl<T> fmt::Debug for Pipeline<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<&str> = self.stages.iter().map(Stage::label).collect();
        f.debug_struct("Pipeline").field("steps", &labels).finish_non_exhaustive()
    }
}

impl Stage {
    fn label(&self) -> &str {
        match self {
            Self::Parallel(step) => &step.label,
            Self::Sequential(step) => &step.label,
        }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Pipeline<T> {
    /// A pipeline over these items, without steps. An iterator is read as the first step needs it.
    pub fn new<It>(items: It) -> Self
    where
        It: IntoIterator<Item = T>,
        It::IntoIter: Send + 'static,
    {
        Self {
            stages: Vec::new(),
            inputs: Inputs::new(items.into_iter()),
            on_error: OnError::default(),
            samples: 0,
            store_above: STORE_ABOVE,
            items: PhantomData,
        }
    }

    /// A parallel step over lists: the function gets some neighbouring items at once and gives a list of any length
    /// for them. How many it gets adapts to their times, up to 1 024, or is what [`chunk_size`](Self::chunk_size)
    /// says: a function whose result depends on where lists are cut is not for this.
    ///
    /// If it fails for a list, it is called for each of its items alone, so that one bad item fails alone.
    pub fn parallel<F, O>(self, f: F) -> Pipeline<O>
    where
        F: Fn(Vec<T>) -> Vec<O> + Copy + Send + Sync + 'static,
        O: Serialize + DeserializeOwned + 'static,
    {
        self.step(step::list(f), Takes::List)
    }

    /// A parallel step over items: one in, one out.
    pub fn map<F, O>(self, f: F) -> Pipeline<O>
    where
        F: Fn(T) -> O + Copy + Send + Sync + 'static,
        O: Serialize + DeserializeOwned + 'static,
    {
        self.step(step::map(f), Takes::Item)
    }

    /// A parallel step over items that may fail. An item for which it gives `Err` has failed, see
    /// [`on_error`](Self::on_error).
    pub fn try_map<F, O, E>(self, f: F) -> Pipeline<O>
    where
        F: Fn(T) -> Result<O, E> + Copy + Send + Sync + 'static,
        O: Serialize + DeserializeOwned + 'static,
        E: Display + 'static,
    {
        self.step(step::try_map(f), Takes::Item)
    }

    /// A parallel step over items: one in, any number out. An `Option` is none or one.
    pub fn flat_map<F, Out>(self, f: F) -> Pipeline<Out::Item>
    where
        F: Fn(T) -> Out + Copy + Send + Sync + 'static,
        Out: IntoIterator + 'static,
        Out::Item: Serialize + DeserializeOwned + 'static,
    {
        self.step(step::flat_map(f), Takes::Item)
    }

    /// A parallel step of an async function over items: each worker has many of them under way at once, see
    /// [`concurrency`](Self::concurrency).
    pub fn map_async<F, U, O>(self, f: F) -> Pipeline<O>
    where
        F: Fn(T) -> U + Copy + Send + Sync + 'static,
        U: Future<Output = O> + 'static,
        O: Serialize + DeserializeOwned + 'static,
    {
        self.step(step::map_async(f), Takes::ItemAsync)
    }

    /// [`map_async`](Self::map_async) of a function that may fail.
    pub fn try_map_async<F, U, O, E>(self, f: F) -> Pipeline<O>
    where
        F: Fn(T) -> U + Copy + Send + Sync + 'static,
        U: Future<Output = Result<O, E>> + 'static,
        O: Serialize + DeserializeOwned + 'static,
        E: Display + 'static,
    {
        self.step(step::try_map_async(f), Takes::ItemAsync)
    }

    /// A sequential step: the function gets all items, in order, in this process (on a thread of its own).
    pub fn sequential<F, O>(mut self, f: F) -> Pipeline<O>
    where
        F: FnOnce(Vec<T>) -> Vec<O> + Send + 'static,
        T: Send,
        O: Serialize + DeserializeOwned + Send + 'static,
    {
        self.stages.push(Stage::Sequential(Sequential::new(f)));
        self.of()
    }

    fn step<O>(mut self, described: Described, takes: Takes) -> Pipeline<O> {
        let label = described.short_name().to_owned();
        let settings = Settings::default();
        self.stages.push(Stage::Parallel(Parallel { described, takes, label, settings }));
        self.of()
    }

    /// What the failure of an item means for the others: they stop, by default. Those that failed are in
    /// [`PipelineOutput::failed`] otherwise; the steps behind do not see them.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Also measures what the parallel steps would take one item after the other: so many items, chosen by chance, run
    /// through them once more, in this process, after all is done. The report gives the estimate with its interval;
    /// where the sample is everything, it is no estimate.
    pub fn baseline(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// Items longer than so many bytes, encoded, stay in storage on their way from one job of the pipeline to the next:
    /// the worker that makes one stores it, and the one that takes it reads it there, so that it does not pass through
    /// this program. 64 KiB by default; shorter ones are faster in the messages that are sent in any case. What is
    /// stored is removed with the end of the jobs.
    ///
    /// No effect on this machine, where workers are processes beside this one.
    pub fn store_above(mut self, bytes: u64) -> Self {
        self.store_above = bytes;
        self
    }

    /// The same pipeline, its items named by another type.
    fn of<O>(self) -> Pipeline<O> {
        Pipeline {
            stages: self.stages,
            inputs: self.inputs,
            on_error: self.on_error,
            samples: self.samples,
            store_above: self.store_above,
            items: PhantomData,
        }
    }
}

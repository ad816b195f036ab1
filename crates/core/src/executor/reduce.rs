//! [`MapReduceBuilder`]: a map, and one more task that reduces its outputs.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::builder::MapBuilder;
use super::decode::{Elements, task_failed};
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::records::append_input;
use crate::scheduler::input::{Block, Ready};
use crate::scheduler::stats::JobStats;
use crate::task::Described;

/// The outputs of the map are not decoded here; any type will do to name them.
struct Undecoded;

/// A map-reduce that has not begun. Await it for the reduced value.
#[must_use = "nothing runs until the builder is awaited"]
pub struct MapReduceBuilder<R> {
    map: MapBuilder<Undecoded>,
    reduce: Described,
    output: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for MapReduceBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapReduceBuilder").field("map", &self.map).finish_non_exhaustive()
    }
}

impl<R> MapReduceBuilder<R> {
    pub(super) fn new<O>(map: MapBuilder<O>, reduce: Described) -> Self {
        Self { map: map.of_output(), reduce, output: PhantomData }
    }

    /// See [`MapBuilder::label`]. The reducing task's label has `/reduce` behind it.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.map = self.map.label(label);
        self
    }

    /// See [`MapBuilder::chunk_size`]; of the map.
    pub fn chunk_size(mut self, elements: u32) -> Self {
        self.map = self.map.chunk_size(elements);
        self
    }

    /// See [`MapBuilder::workers`]; of the map.
    pub fn workers(mut self, workers: usize) -> Self {
        self.map = self.map.workers(workers);
        self
    }

    /// See [`MapBuilder::budget_usd`]; for both: the reduction has what the map leaves.
    pub fn budget_usd(mut self, dollars: f64) -> Self {
        self.map = self.map.budget_usd(dollars);
        self
    }

    /// See [`MapBuilder::max_invocations`]; of both together.
    pub fn max_invocations(mut self, invocations: u64) -> Self {
        self.map = self.map.max_invocations(invocations);
        self
    }

    /// See [`MapBuilder::max_worker_time`]; of both together.
    pub fn max_worker_time(mut self, time: Duration) -> Self {
        self.map = self.map.max_worker_time(time);
        self
    }

    /// See [`MapBuilder::retries`]; of the map and of the reduction.
    pub fn retries(mut self, retries: u32) -> Self {
        self.map = self.map.retries(retries);
        self
    }

    /// See [`MapBuilder::timeout`]; of the map and of the reduction.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.map = self.map.timeout(limit);
        self
    }
}

impl<R: DeserializeOwned + Send + 'static> MapReduceBuilder<R> {
    async fn run(self) -> Result<R> {
        let (reduce, budget) = (self.map.sibling::<R>(self.reduce), self.map.budget);
        let (input, stats) = gather(self.map).await?;
        let block = Block { count: 1, bytes: Bytes::from(input) };
        let mut reduce = reduce(Box::new(Ready::new([block])));
        reduce.budget = budget.minus(&stats);
        let results = reduce.await?;
        let missing = || Error::new(ErrorKind::Internal, "a reduction ended without an output");
        results.into_iter().next().ok_or_else(missing)
    }
}

/// Runs the map; gives the input record of the reduction, all outputs as one encoded `Vec`, and what the map has cost.
async fn gather(map: MapBuilder<Undecoded>) -> Result<(Vec<u8>, JobStats)> {
    let mut job = map.spawn().await?;
    let mut parts: std::collections::BTreeMap<u64, Elements> = std::collections::BTreeMap::new();
    while let Some(delivery) = job.next_delivery().await {
        let elements = Elements::new(delivery?);
        job.core().handle.outbox.release(elements.weight());
        parts.insert(elements.first(), elements);
    }
    let count: u64 = parts.values().map(|part| u64::from(part.left())).sum();
    let mut input = Vec::new();
    append_input(&mut input, |out| {
        // A sequence is its length and then its elements.
        codec::encode(&count, out).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        for part in parts.values_mut() {
            while let Some(outcome) = part.next() {
                out.extend_from_slice(outcome?.1.map_err(task_failed)?);
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok((input, job.stats()))
}

impl<R: DeserializeOwned + Send + 'static> IntoFuture for MapReduceBuilder<R> {
    type Output = Result<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<R>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

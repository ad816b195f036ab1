//! Running a pipeline: jobs that feed each other, and the steps in this process between them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::account::Accounts;
use super::baseline::{self, Measured, Reservoir, Sampled};
use super::fuse::fuse;
use super::piped::{Piped, Undecoded};
use super::report::{PipelineReport, SerialBaseline, StepKind};
use super::sequential::decode;
use super::stream::PipelineStream;
use super::{Parallel, Pipeline, Stage, Takes};
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::builder::MapBuilder;
use crate::executor::feeder::Fed;
use crate::executor::handle::Executor;
use crate::failure::TaskError;
use crate::image::ImageId;
use crate::invoker::Passing;
use crate::scheduler::OnError;
use crate::scheduler::input::{InputSource, Ready};
use crate::task::step::{Leg, chain};

/// What came out of a pipeline.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PipelineOutput<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Items that failed in a step; none unless [`Pipeline::on_error`] says that the others go on.
    pub failed: Vec<TaskError>,
    /// How it went.
    pub report: PipelineReport,
}

/// A pipeline under way: all but its last parallel steps have run.
pub(super) struct Flow {
    pub(super) source: Box<dyn InputSource>,
    executor: Executor,
    pub(super) accounts: Accounts,
    begun: Instant,
    /// The items that went in.
    entered: Reservoir,
    /// The items before each row of parallel steps, and the steps of its jobs.
    sampled: Vec<(Reservoir, Vec<Vec<Leg>>)>,
    samples: u32,
    on_error: OnError,
    store_above: u64,
    own: ImageId,
    /// Each ends with a job and what is stored of it.
    under_way: Vec<oneshot::Receiver<Infallible>>,
}

impl Flow {
    async fn begin<T>(pipeline: Pipeline<T>, executor: &Executor) -> Result<Self> {
        let begun = Instant::now();
        for stage in &pipeline.stages {
            if let Stage::Parallel(step) = stage {
                step.settings.check(&step.label, step.takes)?;
            }
        }
        let inner = &executor.inner;
        let limits = inner.resources.invoker.limits();
        let own = inner.program.prepare(limits, &inner.resources.storage, &inner.driver, false).await?;
        let entered = Reservoir::new(0);
        let source = Box::new(Fed::start(pipeline.inputs)?);
        let mut flow = Self {
            source: Box::new(Sampled { source, reservoir: entered.clone() }),
            executor: executor.clone(),
            accounts: Accounts::default(),
            begun,
            entered,
            sampled: Vec::new(),
            samples: pipeline.samples,
            on_error: pipeline.on_error,
            store_above: pipeline.store_above,
            own,
            under_way: Vec::new(),
        };
        let mut row = Vec::new();
        for stage in pipeline.stages {
            match stage {
                Stage::Parallel(step) => row.push(step),
                Stage::Sequential(step) => {
                    flow = flow.parallel(std::mem::take(&mut row)).await?;
                    let blocks = flow.collect().await?;
                    let number = flow.accounts.begin(&step.label, StepKind::Sequential);
                    let given = step.run(blocks).await?;
                    flow.accounts.sequential(number, given.came_in, given.came_out);
                    flow.source = Box::new(Fed::start(given.inputs)?);
                }
            }
        }
        flow.parallel(row).await
    }

    /// Has the items go through a row of parallel steps.
    async fn parallel(mut self, row: Vec<Parallel>) -> Result<Self> {
        if row.is_empty() {
            return Ok(self);
        }
        let reservoir = Reservoir::new(self.samples);
        let mut groups = Vec::new();
        self.source = Box::new(Sampled { source: self.source, reservoir: reservoir.clone() });
        // Where workers fetch the program from the storage, they have one in common.
        let share = self.executor.limits().ships_image;
        let mut passing = Passing::default();
        let mut fused = fuse(row).into_iter().peekable();
        while let Some(group) = fused.next() {
            // What comes out last is needed here.
            passing.store_above = (share && fused.peek().is_some()).then_some(self.store_above);
            let first = group.iter().map(|step| self.accounts.begin(&step.label, StepKind::Parallel)).min();
            let label = group.iter().map(|step| step.label.as_str()).collect::<Vec<_>>().join("+");
            let is_async = group.iter().any(|step| step.takes == Takes::ItemAsync);
            let settings = group.first().map(|step| step.settings).unwrap_or_default();
            let program = &self.executor.inner.program;
            let leg = |step: Parallel| {
                Ok(Leg { entry: program.entry(&step.described, self.own)?, label: step.label })
            };
            let legs: Vec<Leg> = group.into_iter().map(leg).collect::<Result<_>>()?;
            let shared =
                codec::to_vec(&legs).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
            let job: MapBuilder<Undecoded> =
                MapBuilder::encoded(self.executor.clone(), chain(), self.source, is_async);
            let job = settings.apply(job.shared(Ok(shared)).label(label).on_error(self.on_error));
            let mut job = job.passing(passing).feed().await?;
            self.under_way.extend(job.take_over());
            passing.refers = passing.store_above.is_some();
            self.source =
                Box::new(Piped::new(job, self.accounts.clone(), first.unwrap_or(0), passing.refers));
            groups.push(legs);
        }
        self.sampled.push((reservoir, groups));
        Ok(self)
    }

    /// All items that are still to come, encoded. Nothing is left of the jobs that made them.
    async fn collect(&mut self) -> Result<Vec<Bytes>> {
        let mut blocks = Vec::new();
        let collected = loop {
            match poll_fn(|cx| self.source.poll_next(cx)).await {
                Some(Ok(block)) => blocks.push(block.bytes),
                Some(Err(error)) => break Err(error),
                None => break Ok(blocks),
            }
        };
        self.end_jobs();
        self.ended().await;
        collected
    }

    /// Ends the jobs. What workers have stored of them is being removed when this returns.
    pub(super) fn end_jobs(&mut self) {
        self.source = Box::new(Ready::new([]));
    }

    /// Returns when nothing is left of the jobs that were ended.
    pub(super) async fn ended(&mut self) {
        for over in self.under_way.drain(..) {
            // Nothing is ever sent: it ends when the other end is dropped.
            let Err(_) = over.await;
        }
    }

    /// The report, once all items have come.
    pub(super) async fn report(&mut self, outputs: u64) -> Result<PipelineReport> {
        let elapsed = self.begun.elapsed();
        let steps = self.accounts.steps();
        let of = |kind: StepKind| -> Duration {
            steps.iter().filter(|step| step.kind == kind).map(|step| step.busy).sum()
        };
        let sequential = of(StepKind::Sequential);
        let serial = if self.samples == 0 {
            SerialBaseline::TaskTime { total: of(StepKind::Parallel) + sequential }
        } else {
            let mut all = Measured { whole: true, freedom: usize::MAX, ..Measured::default() };
            for (reservoir, groups) in std::mem::take(&mut self.sampled) {
                let row = baseline::measure(&reservoir, groups, self.own).await?;
                all.total += row.total;
                all.variance += row.variance;
                all.samples += row.samples;
                if !row.whole {
                    all.whole = false;
                    all.freedom = all.freedom.min(row.freedom);
                }
            }
            let total = Duration::try_from_secs_f64(all.total).unwrap_or(Duration::MAX) + sequential;
            if all.whole {
                SerialBaseline::Measured { total }
            } else {
                SerialBaseline::Estimated { total, margin: baseline::margin(&all), samples: all.samples }
            }
        };
        Ok(PipelineReport { items: self.entered.seen(), outputs, elapsed, serial, steps })
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Pipeline<T> {
    /// Runs it to its end.
    pub async fn run(self, executor: &Executor) -> Result<PipelineOutput<T>> {
        let mut flow = Flow::begin(self, executor).await?;
        let blocks = flow.collect().await?;
        let items: Vec<T> = decode(&blocks)?;
        let report = flow.report(items.len() as u64).await?;
        Ok(PipelineOutput { items, failed: flow.accounts.take_failed(), report })
    }

    /// Runs it, and gives the items in order as they come: what is under way is bounded, however many there are.
    /// Returns when the last row of parallel steps begins, that is, after the last sequential step.
    pub async fn stream(self, executor: &Executor) -> Result<PipelineStream<T>> {
        Ok(PipelineStream::new(Flow::begin(self, executor).await?))
    }
}

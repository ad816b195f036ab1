//! What users call: [`Executor`], the builders it returns, [`Job`] and [`TaskFuture`].

mod attach;
mod block_on;
mod builder;
mod connect;
mod decode;
pub(crate) mod drive;
mod driver;
mod feeder;
mod feeding;
mod futures;
mod handle;
mod in_order;
mod job;
mod open;
mod order;
mod ordered;
mod pipeline;
mod program;
mod reduce;
mod spawn;
pub(crate) mod storage;
mod takeover;
mod watch;

pub use block_on::block_on;
pub use builder::MapBuilder;
pub use futures::{TaskFuture, TaskState};
pub use handle::{Defaults, Executor, ExecutorBuilder};
pub use job::{Job, Wait};
pub use order::start_driver;
pub use ordered::Ordered;
pub use pipeline::{
    Pipeline, PipelineOutput, PipelineReport, PipelineStream, SerialBaseline, StepKind, StepReport,
};
pub use program::{Program, ProgramSource};
pub use reduce::MapReduceBuilder;
pub use spawn::Keeps;
pub use watch::{JobHandle, Watcher};

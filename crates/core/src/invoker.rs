//! The compute side of a backend: something that runs chunks of a job.
//!
//! # For implementors
//!
//! An [`Invoker`] takes an [`Invocation`] (a run of consecutive elements of one job) to a worker and brings
//! back what became of each element. It does not retry, does not reorder and does not decide what a failure
//! means for the job: it classes errors and the scheduler decides.
//!
//! The control plane (creating functions, roles, buckets) is not here; see the provisioner of each backend.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::{Call, Entry, Target};
use crate::error::BackendError;
use crate::failure::TaskFailure;
use crate::image::{ImageId, Platform};
use crate::price::Price;

/// What one provider allows, as data. The scheduler obeys it; nothing else in the core knows providers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own about a provider")]
pub struct Limits {
    /// Invocations that can run at once.
    pub concurrency: usize,
    /// Invocations that may wait at the invoker for each one that runs, so that short ones follow each
    /// other without a round trip. 0 where an invocation that cannot run at once is refused.
    pub pipelining: usize,
    /// Largest sum of input bytes that travels inside an invocation; more goes through storage.
    pub max_inline_input: usize,
    /// Largest sum of result bytes that travels inside a reply; more goes through storage.
    pub max_inline_output: usize,
    /// How long one invocation may last, where the provider limits it.
    pub max_duration: Option<Duration>,
    /// First guess at what one invocation costs beyond its tasks' own time, until it is measured.
    pub overhead: Duration,
    /// Whether workers fetch the program's image from storage (`true`) or start it in place (`false`).
    pub ships_image: bool,
    /// What the workers run on; the program is checked against it before anything is sent.
    pub platform: Platform,
    /// Whether [`Events::started`] is called for every invocation whose worker begins, so that one that does not
    /// begin in time can be told from one that is slow.
    pub reports_start: bool,
    /// How often [`Events::alive`] is called at least for an invocation under way, where the invoker promises this:
    /// from its beginning, or where beginnings are not reported from its dispatch and a time to start. One that is
    /// silent for four times as long is given up.
    pub heartbeat: Option<Duration>,
    /// Whether workers differ in speed by more than their tasks do, so that running the last elements of a job a
    /// second time elsewhere is worth it unless the job says otherwise.
    pub stragglers: bool,
    /// What an invocation costs, where that is known.
    pub price: Option<Price>,
    /// How long a worker may take to start and to fetch what it needs, as far as that counts as its time on top of
    /// `max_duration`, or of the job's time limit. A budget allows for it.
    pub startup: Duration,
    /// Whether dropping the future of an invocation also ends it at the worker, within moments, and with it what
    /// it costs. Where this is `false` a budget counts it up to `max_duration`.
    pub stops_when_dropped: bool,
}

impl Limits {
    /// Limits of a provider that takes this many invocations at once and restricts nothing else.
    pub fn unlimited(concurrency: usize) -> Self {
        Self {
            concurrency,
            pipelining: 0,
            max_inline_input: usize::MAX,
            max_inline_output: usize::MAX,
            max_duration: None,
            overhead: Duration::from_micros(50),
            ships_image: false,
            platform: Platform::this_machine(),
            reports_start: false,
            heartbeat: None,
            stragglers: false,
            price: None,
            startup: Duration::ZERO,
            stops_when_dropped: true,
        }
    }
}

/// Bytes that travel with a message or lie in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// The bytes themselves, as a rope: their concatenation is the payload.
    Inline(Vec<Bytes>),
    /// A byte range of one stored object.
    Stored {
        /// The object's key.
        key: String,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
}

impl Payload {
    /// How many bytes it stands for.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(parts) => parts.iter().map(|p| p.len() as u64).sum(),
            Self::Stored { len, .. } => *len,
        }
    }

    /// Whether it stands for no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What all invocations of one job have in common. Sent to each function process once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Unique name of the job: lower-case letters, digits and dashes.
    pub id: String,
    /// The user's name for it, for people.
    pub label: String,
    /// Which function of which program.
    pub entry: Entry,
    /// The value of `map_with`, encoded.
    pub shared: Option<Payload>,
    /// How long one element may run.
    pub task_timeout: Option<Duration>,
    /// How many elements one function process works on at once: threads for plain functions, futures for
    /// async ones.
    pub concurrency: u32,
}

impl JobSpec {
    /// A job of a function that has a name, which is its label too: nothing shared, no time limit, one element at a time.
    pub fn named(id: impl Into<String>, image: ImageId, name: &str, call: Call) -> Self {
        Self {
            id: id.into(),
            label: name.to_owned(),
            entry: Entry { image, target: Target::Named { name: name.to_owned(), call } },
            shared: None,
            task_timeout: None,
            concurrency: 1,
        }
    }
}

/// How what passes from one job to the next travels, where jobs feed each other: see `docs/pipeline.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Passing {
    /// Whether the inputs are [referring records](crate::protocol::references): the worker's side reads from storage
    /// what they refer to.
    pub refers: bool,
    /// Items of outputs (see [`Course`](crate::task::step::Course)) that are longer than so many bytes may stay in
    /// storage, and the outputs then say where: a worker that stores results does so, though they would fit its answer.
    /// They are needed until the job has ended, and whoever asked for this removes them.
    pub store_above: Option<u64>,
}

/// A run of consecutive elements of one job, on its way to a worker.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The job.
    pub job: Arc<JobSpec>,
    /// Unique within the client process; names the invocation in [`Events`].
    pub id: u64,
    /// Index of the first element in the job's inputs.
    pub first: u64,
    /// How many elements; at least 1.
    pub count: u32,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many elements the function process may work on at once; 1 for elements suspected of killing it.
    pub concurrency: u32,
    /// Whether it stays with one worker: an invoker that could fetch part of it back for an idle worker does not.
    pub whole: bool,
    /// How inputs come from the job before, and outputs go to the job behind.
    pub passing: Passing,
    /// The inputs: `count` input records, see [`crate::protocol::records`].
    pub inputs: Payload,
}

impl Invocation {
    /// The first attempt at the first `count` elements of a job, where nothing passes from job to job.
    pub fn first(job: Arc<JobSpec>, id: u64, count: u32, inputs: Payload) -> Self {
        let concurrency = job.concurrency;
        Self {
            job,
            id,
            first: 0,
            count,
            attempt: 1,
            concurrency,
            whole: false,
            passing: Passing::default(),
            inputs,
        }
    }
}

/// Results of consecutive elements of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultBatch {
    /// The first element, counted from the invocation's first.
    pub offset: u32,
    /// How many elements; at least 1.
    pub count: u32,
    /// `count` result records, see [`crate::protocol::records`].
    pub records: Bytes,
}

/// What a worker wrote to stdout or stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The first element that may have written it, counted from the invocation's first.
    pub offset: u32,
    /// How many elements may have written it: 1 where the writer is known exactly.
    pub count: u32,
    /// Whether it came from stderr.
    pub stderr: bool,
    /// The bytes as written, one or more lines, not necessarily UTF-8.
    pub bytes: Bytes,
}

/// Where an invoker reports what happens while an invocation is under way. All methods are cheap and never
/// block. Events for an invocation may come from any thread, and stop when its `invoke` returns.
pub trait Events: Send + Sync {
    /// Results that are known before the invocation is over.
    fn results(&self, invocation: u64, batch: ResultBatch);
    /// The worker has begun to run the invocation's first element.
    fn started(&self, invocation: u64);
    /// The worker that holds the invocation is alive, though it may have nothing else to report. Invokers whose
    /// limits promise a heartbeat call this; results and output count as signs of life as well.
    fn alive(&self, _invocation: u64) {}
    /// A task wrote something.
    fn log(&self, invocation: u64, line: LogLine);
}

/// Why an invocation ended before all its elements had a result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stopped {
    /// Elements (counted from the invocation's first) that are to blame, each with what it did.
    pub failed: Vec<(u32, TaskFailure)>,
    /// Elements that were begun and not finished when the process died, where it cannot be said which of them
    /// did it, each with what it would be blamed for. They are run again, one to a process; one that is the only
    /// suspect is guilty.
    pub suspects: Vec<(u32, TaskFailure)>,
}

/// What one invocation cost, as far as the worker's side can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Waiting at the invoker for a free worker.
    pub queued: Duration,
    /// Starting a worker or function process for it; zero when warm.
    pub start: Duration,
    /// Bringing image, shared data and inputs to the function process.
    pub fetch: Duration,
    /// Running the elements.
    pub compute: Duration,
    /// Writing results away.
    pub store: Duration,
    /// Whether a process was started for it.
    pub cold: bool,
}

impl Usage {
    /// How long a worker was taken up by the invocation: all but the time it waited for one.
    pub fn worker_time(&self) -> Duration {
        let Self { queued: _, start, fetch, compute, store, cold: _ } = *self;
        [fetch, compute, store].into_iter().fold(start, Duration::saturating_add)
    }
}

/// What came of an invocation that reached a worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Results not yet reported through [`Events::results`].
    pub results: Vec<ResultBatch>,
    /// Set when the worker stopped before the end. Elements with neither a result nor a place in
    /// [`Stopped::failed`] are simply not done: handed back.
    pub stopped: Option<Stopped>,
    /// What it cost.
    pub usage: Usage,
}

/// Runs chunks of jobs somewhere.
#[async_trait]
pub trait Invoker: Send + Sync + std::fmt::Debug + 'static {
    /// What the provider allows. Constant for the invoker's life.
    fn limits(&self) -> &Limits;

    /// Runs an invocation and waits for its end.
    ///
    /// # Behavior
    ///
    /// - At most once: an implementation never runs the invocation a second time by itself.
    /// - `Ok` means that a worker took it, and says what became of each element; `Err` means that nothing
    ///   is known beyond what [`Events::results`] has told.
    /// - Dropping the future cancels: the worker stops as soon as the provider lets it. Elements may have run.
    /// - Up to `concurrency * (1 + pipelining)` calls may be under way at once.
    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError>;

    /// Starts an invocation whose results go to storage only, and returns once the provider has taken it.
    ///
    /// Providers that cannot do this answer with [`crate::error::ErrorClass::Invalid`].
    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError>;

    /// Ends what this client holds open (processes, connections). Invocations under way are cancelled.
    async fn shutdown(&self);
}

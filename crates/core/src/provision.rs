//! The setup side of a backend: making, checking and removing what jobs need at a provider.
//!
//! It is apart from the hot path: nothing here is called while jobs run, and an [`Invoker`](crate::invoker::Invoker)
//! or a [`Storage`](crate::storage::Storage) never makes a bucket, a role or a function by itself.
//!
//! # For implementors
//!
//! - A [`Provisioner`] is made by a [`ProvisionerFactory`](crate::config::ProvisionerFactory), registered by the name of
//!   its backend. Making it reads settings and files of this machine alone; the provider is first asked by a method.
//! - What is **ours** is what carries our mark where the provider has marks (a tag, a label, a line in a file), or else
//!   what has the configured name. A thing of the right name that carries somebody else's mark, or whose mark is
//!   missing where ours always carry one, is not ours: [`plan`](Provisioner::plan) refuses with an error that names it.
//! - **Secrets** appear in no plan, no error, no progress and no `Debug` output; a change of one is told as such.
//! - Errors say what was attempted and what came back, and carry the mend as their hint. A missing permission is named
//!   by the provider's own word for it. What passes by itself (throttling, a role that is not yet known everywhere) is
//!   waited for within a bounded time, and told through [`Watch::waiting`].
//! - Everything may be interrupted at any point; the next run picks up what is there.
//!
//! The suite `provisioner_suite` of the testkit holds an implementation to this.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::error::{Error, ErrorKind, Result};

pub mod course;
mod plan;
mod runtime;
mod tail;

pub use plan::{Change, Difference, Plan, Step};
pub use runtime::{Package, RUNTIME, RuntimeSource};
pub use tail::{LogPage, LogPages, tail};

/// What was asked for on top of the configuration. Each is for the provisioners that say so in
/// [`ProvisionerFactory::takes`](crate::config::ProvisionerFactory::takes).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetupOptions {
    /// The runtime's executable, in place of the one beside the `rustwren` command.
    pub runtime: Option<PathBuf>,
    /// The folder for files that a person takes further.
    pub folder: Option<PathBuf>,
    /// Whether to take the next step in replacing a shared secret.
    pub rotate: bool,
}

/// One of [`SetupOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupOption {
    /// [`SetupOptions::runtime`]
    Runtime,
    /// [`SetupOptions::folder`]
    Folder,
    /// [`SetupOptions::rotate`]
    Rotate,
}

impl SetupOption {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Runtime, Self::Folder, Self::Rotate];

    /// As it is typed: `--runtime`.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Runtime => "--runtime",
            Self::Folder => "--folder",
            Self::Rotate => "--rotate",
        }
    }

    /// Whether it was asked for.
    pub fn is_in(self, options: &SetupOptions) -> bool {
        match self {
            Self::Runtime => options.runtime.is_some(),
            Self::Folder => options.folder.is_some(),
            Self::Rotate => options.rotate,
        }
    }
}

/// Where [`Provisioner::apply`] and [`Provisioner::destroy`] tell how far they are. Steps are named by their index in
/// [`Plan::steps`]. All methods return at once.
pub trait Watch: Send + Sync {
    /// A step has begun. Those that change nothing are not told.
    fn started(&self, step: usize);
    /// A step waits for something that passes by itself; told each time the reason changes.
    fn waiting(&self, _step: usize, _why: &str) {}
    /// A step is done.
    fn done(&self, step: usize);
}

/// For whoever wants to hear nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn started(&self, _step: usize) {}
    fn done(&self, _step: usize) {}
}

/// What is left to do once everything was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What a person has still to do, one instruction each, in order: start the workers that were prepared, say. Empty
    /// where jobs can run now.
    pub next: Vec<String>,
}

/// One thing that jobs depend on, and how it was found.
#[derive(Debug, Clone)]
pub struct Leg {
    /// What was looked at, in one or two words: `credentials`, `bucket`, `function`.
    pub name: String,
    /// What was found, in one line; or what is wrong, with the mend as the error's hint.
    pub outcome: Result<String>,
    /// How long the look took.
    pub time: Duration,
}

impl Leg {
    /// A leg that was looked at for `time`.
    pub fn new(name: impl Into<String>, time: Duration, outcome: Result<String>) -> Self {
        Self { name: name.into(), outcome, time }
    }
}

/// Which lines of the provider's logs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogQuery {
    /// The oldest time that is wanted.
    pub since: SystemTime,
    /// Only lines that contain this text, which is nothing but text.
    pub filter: Option<String>,
    /// Whether to go on with what comes in, until the stream is dropped.
    pub follow: bool,
}

impl LogQuery {
    /// Everything since then.
    pub fn since(since: SystemTime) -> Self {
        Self { since, filter: None, follow: false }
    }

    /// Whether a line is wanted, as far as its text tells: for providers that cannot search by themselves.
    pub fn wants(&self, text: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| text.contains(filter))
    }
}

/// One line of a provider's logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// When it was written, where the provider tells.
    pub time: Option<SystemTime>,
    /// Which worker wrote it, in the provider's words; may be empty.
    pub source: String,
    /// The line, without its end.
    pub text: String,
}

/// Lines of logs, oldest first as far as the provider keeps them in order. Ends after the first error.
pub type LogStream = BoxStream<'static, Result<LogRecord>>;

/// Makes, checks and removes what one backend needs at its provider.
#[async_trait]
pub trait Provisioner: Send + Sync + fmt::Debug + 'static {
    /// What it works on, for people, without secrets: `AWS account 123456789012, eu-west-1`.
    fn target(&self) -> String;

    /// What [`apply`](Self::apply) would do now.
    ///
    /// # Behavior
    ///
    /// - Reads only: nothing is changed, here or at the provider.
    /// - There is one step for each thing that has to be there, in the order in which they are made, also for those
    ///   that are as they should be ([`Change::None`]).
    /// - [`Step::differences`] say what differs of things that would be updated or replaced.
    /// - What a half-done run left is found and planned on from.
    async fn plan(&self) -> Result<Plan>;

    /// Does what a plan says.
    ///
    /// # Behavior
    ///
    /// - `plan` comes from [`plan`](Self::plan) of this provisioner. Time may have passed: each step looks again, and
    ///   what is as it should be by then is left alone and told as done.
    /// - Does nothing that the plan does not say. Where more turns out to be needed, it is an error, and the hint says
    ///   to run it again.
    /// - Idempotent: after it, `plan` has no change; done again, it changes nothing.
    /// - Each step is told to `watch` as it is begun and done. The first that fails ends it; those before stay.
    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied>;

    /// Looks at each thing that jobs depend on, in order of dependence: what cannot be looked at because of the one
    /// before is left out. Reads only. A leg that fails carries the mend.
    async fn verify(&self) -> Vec<Leg>;

    /// What [`destroy`](Self::destroy) would do now, in the order in which it is done. Reads only. Has steps only for
    /// what is there. What it cannot tell to be ours is left out, and told in [`Plan::notes`].
    async fn destroy_plan(&self) -> Result<Plan>;

    /// Removes what a plan says.
    ///
    /// # Behavior
    ///
    /// - `plan` comes from [`destroy_plan`](Self::destroy_plan) of this provisioner.
    /// - After it nothing of ours is left, and nothing that is not ours was touched. What is gone already counts as
    ///   removed.
    /// - The objects of jobs go with the bucket, prefix or folder that was made for them; the plan says so.
    /// - Each step is told to `watch`. The first that fails ends it; a later run goes on.
    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()>;

    /// Lines that workers and runtimes wrote, where the provider keeps them within reach.
    async fn logs(&self, _query: LogQuery) -> Result<LogStream> {
        let message = format!("{} keeps no logs that can be read from here", self.target());
        Err(Error::new(ErrorKind::Config, message)
            .with_hint("what tasks print is shown by the program that runs the job, and is in its errors"))
    }
}

/// A provisioner with the name of the backend that it is for.
#[derive(Debug, Clone)]
pub struct Named {
    /// The backend's name.
    pub backend: &'static str,
    /// Its provisioner.
    pub provisioner: Arc<dyn Provisioner>,
}

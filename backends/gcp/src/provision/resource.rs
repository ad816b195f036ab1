//! What setup makes, one thing at a time.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::clock::Clock;
use rustwren_core::error::Result;
use rustwren_core::provision::{Step, Watch};

use crate::rest::Refusal;

/// What the removal of a thing would take.
#[derive(Debug)]
pub(super) enum Removal {
    /// It is not there, or goes with another.
    Nothing,
    /// It is ours.
    Ours(Step),
    /// It stays; why is for people.
    Stays(String),
}

/// One thing at Google.
#[async_trait]
pub(super) trait Resource: Send + Sync + fmt::Debug {
    /// What setup would do now; an error for what is not ours. Reads only.
    async fn plan(&self) -> Result<Step>;

    /// Does what [`plan`](Self::plan) has just told. May be ended anywhere, and is done again then.
    async fn apply(&self, step: &Step, patience: Patience<'_>) -> Result<()>;

    /// What teardown would do now. Reads only.
    async fn removal(&self) -> Result<Removal>;

    /// Does what [`removal`](Self::removal) has just told. May be ended anywhere, and is done again then.
    async fn remove(&self, patience: Patience<'_>) -> Result<()>;
}

/// The mark of what is ours, where Google has labels.
pub(super) const LABEL: &str = "made-by";
pub(super) const OURS: &str = "rustwren-setup";
/// The mark where there is room for a sentence.
pub(super) const SENTENCE: &str = "Made by rustwren setup";

/// The first pause; each is longer by [`LONGER`] up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGER: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);
/// How long is waited for changes that are not yet known everywhere: a new account, say.
const SPREADING: Duration = Duration::from_mins(2);

/// Who waits for a step, and who is told.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) clock: &'a dyn Clock,
    pub(super) watch: &'a dyn Watch,
    /// The step's index in its plan.
    pub(super) step: usize,
}

impl Patience<'_> {
    /// Does something until it is done, or refused for what does not pass. `passes` says why it is worth waiting.
    pub(super) async fn until_done<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        passes: impl Fn(&Refusal) -> Option<&'static str>,
        mut done: impl FnMut() -> F,
    ) -> Result<T, Refusal> {
        let mut waits = Pauses::of(SPREADING);
        loop {
            let refusal = match done().await {
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            let why = passes(&refusal).or(refusal.passes().then_some("Google asks for a moment"));
            let Some((why, pause)) = why.zip(waits.next()) else { return Err(refusal) };
            self.watch.waiting(self.step, why);
            self.clock.sleep(pause).await;
        }
    }
}

/// Pauses that grow, up to a sum.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    left: Duration,
}

impl Pauses {
    pub(super) fn of(sum: Duration) -> Self {
        Self { next: FIRST, left: sum }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.left = self.left.checked_sub(pause)?;
        self.next = (pause + LONGER).min(LONGEST);
        Some(pause)
    }
}

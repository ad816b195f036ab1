//! What setup makes, one thing at a time.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::error::Result;
use rustwren_core::provision::Step;
use rustwren_core::provision::course::{self, Moment, Planned, Refused};
pub(super) use rustwren_core::provision::course::{Patience, Pauses, Removal};

use crate::rest::Refusal;

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

/// How long is waited for changes that are not yet known everywhere: a new account, say.
pub(super) const SPREADING: Duration = Duration::from_mins(2);

impl Refused for Refusal {
    fn moment(&self) -> Option<Moment> {
        self.passes().then_some(Moment { why: "Google asks for a moment", after: None })
    }
}

/// As the course wants it: with a place that things at Google know by themselves.
#[async_trait]
impl course::Resource for Box<dyn Resource> {
    async fn plan(&self, (): &()) -> Result<Planned> {
        Ok((**self).plan().await?.into())
    }

    async fn apply(&self, (): &(), step: &Step, patience: Patience<'_>) -> Result<()> {
        (**self).apply(step, patience).await
    }

    async fn removal(&self, (): &()) -> Result<Removal> {
        (**self).removal().await
    }

    async fn remove(&self, (): &(), _step: &Step, patience: Patience<'_>) -> Result<()> {
        (**self).remove(patience).await
    }
}

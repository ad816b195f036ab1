//! What setup makes, one kind of thing at a time.

use std::fmt;

use async_trait::async_trait;
use rustwren_core::error::Result;
use rustwren_core::provision::Step;

use super::arn::Account;
use super::patience::Patience;

/// What would become of a thing.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) step: Step,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

impl From<Step> for Planned {
    fn from(step: Step) -> Self {
        Self { step, notes: Vec::new() }
    }
}

/// What the removal of a thing would take.
#[derive(Debug)]
pub(crate) enum Removal {
    /// It is not there, or goes with another.
    Nothing,
    /// It is ours.
    Ours(Step),
    /// It stays; why is for people.
    Stays(String),
}

/// One thing at AWS.
#[async_trait]
pub(crate) trait Resource: Send + Sync + fmt::Debug {
    /// What setup would do now; an error for what is not ours. Reads only.
    async fn plan(&self, account: &Account) -> Result<Planned>;

    /// Does what [`plan`](Self::plan) has just told. May be ended anywhere, and is done again then.
    async fn apply(&self, account: &Account, step: &Step, patience: Patience<'_>) -> Result<()>;

    /// What teardown would do now. Reads only.
    async fn removal(&self, account: &Account) -> Result<Removal>;

    /// Does what [`removal`](Self::removal) has just told. May be ended anywhere, and is done again then.
    async fn remove(&self, account: &Account, step: &Step, patience: Patience<'_>) -> Result<()>;
}

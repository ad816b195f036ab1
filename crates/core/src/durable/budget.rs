//! Budgets of durable jobs that were raised, and jobs that have stopped at theirs.
//!
//! A manifest never changes, so what a job's budget was raised to stands beside it. A job that stops at its budget has not
//! ended: whoever drives it next, under a larger one, goes on with the rest.

use bytes::Bytes;

use super::id::JobId;
use super::manifest::Manifest;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::scheduler::Budget;

/// Gives a job another budget, for whoever drives it from now on. What has been used up counts.
pub async fn set_budget(store: &Store, id: &JobId, budget: &Budget) -> Result<()> {
    Manifest::read(store, id).await?;
    let text = toml::to_string(budget).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the budget of job {id} cannot be encoded"))
            .with_source(error)
    })?;
    store.put(&id.budget_key()?, text.into()).await?;
    goes_on(store, id).await
}

/// The job does not stand still at its budget any more.
pub async fn goes_on(store: &Store, id: &JobId) -> Result<()> {
    store.delete(&id.stopped_key()?).await.map_err(Error::from)
}

/// What the job's budget was set to since it was begun, if it was.
pub async fn budget_set(store: &Store, id: &JobId) -> Result<Option<Budget>> {
    let key = id.budget_key()?;
    let Some(bytes) = store.get_opt(&key).await? else { return Ok(None) };
    toml::from_slice(&bytes).map(Some).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("object {key} is no budget of a job"))
            .with_source(error)
            .with_hint(format!(
                "delete it, or set the budget anew: `rustwren jobs attach {id} --budget-usd ..`"
            ))
    })
}

/// Notes that the job has stopped at its budget, for those who find it without a driver.
pub async fn note_stopped(store: &Store, id: &JobId, message: &str) -> Result<()> {
    store.put(&id.stopped_key()?, Bytes::from(message.to_owned())).await.map_err(Error::from)
}

/// Why the job has stopped, if it did so at its budget and nobody has raised that since.
pub async fn stopped(store: &Store, id: &JobId) -> Result<Option<String>> {
    let bytes = store.get_opt(&id.stopped_key()?).await?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

//! The wish that a job be cancelled, from whoever may not be the one who drives it.

use bytes::Bytes;

use super::id::JobId;
use super::manifest::Manifest;
use super::store::Store;
use crate::error::Result;

/// Asks the driver of a job to cancel it. It looks at each sign of life that it gives. That there is no such job is an
/// error.
pub async fn request_cancel(store: &Store, id: &JobId) -> Result<()> {
    Manifest::read(store, id).await?;
    store.put(&id.cancel_key()?, Bytes::from_static(b"cancel\n")).await?;
    Ok(())
}

/// Whether somebody has asked for the job to be cancelled.
pub async fn cancel_requested(store: &Store, id: &JobId) -> Result<bool> {
    Ok(store.head_opt(&id.cancel_key()?).await?.is_some())
}

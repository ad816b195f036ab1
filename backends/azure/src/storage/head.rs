//! What is known of an object without reading it, and removing it.

use std::time::{Duration, SystemTime};

use azure_core::time::OffsetDateTime;
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesResultHeaders as _, DeleteSnapshotsOptionType,
};

use super::BlobStorage;
use super::errors::is_missing;
use crate::error::Failure;
use crate::tries::Requests as _;

/// What is asked of an object.
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
    /// The mark of whoever wrote it.
    pub(super) mark: Option<String>,
}

impl BlobStorage {
    pub(super) async fn ask_about(&self, object: &str) -> Result<Head, Failure> {
        let mut tries = self.common.tries();
        loop {
            let blob = self.blob(object);
            let answer = match tries.send(0, async move { blob.get_properties(None).await }).await {
                Ok(answer) => answer,
                Err(failure) => {
                    tries.again(failure).await?;
                    continue;
                }
            };
            // Headers that cannot be read are as good as none.
            let mark = answer.metadata().ok().and_then(|mut metadata| metadata.remove(super::write::MARK));
            let size = answer.content_length().ok().flatten().unwrap_or(0);
            return Ok(Head { size, modified: modified(answer.last_modified().ok().flatten()), mark });
        }
    }

    /// The same; none where there is no such object.
    pub(super) async fn find(&self, object: &str) -> Result<Option<Head>, Failure> {
        match self.ask_about(object).await {
            Ok(head) => Ok(Some(head)),
            Err(failure) if is_missing(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn delete_blob(&self, object: &str) -> Result<(), Failure> {
        let mut tries = self.common.tries();
        loop {
            let blob = self.blob(object);
            // A blob with snapshots, which others may have made, is not removed without them.
            let options = BlobClientDeleteOptions {
                delete_snapshots: Some(DeleteSnapshotsOptionType::Include),
                ..BlobClientDeleteOptions::default()
            };
            match tries.send(0, async move { blob.delete(Some(options)).await }).await {
                Ok(_) => return Ok(()),
                Err(failure) if is_missing(&failure) => return Ok(()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }
}

pub(super) fn modified(time: Option<OffsetDateTime>) -> Option<SystemTime> {
    let seconds = u64::try_from(time?.unix_timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

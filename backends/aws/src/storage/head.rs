//! What is known of an object without reading it, and removing it.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::DateTime;
use rustwren_core::storage::{Key, ObjectMeta, StorageResult};

use super::S3Storage;
use super::errors::{self, Operation, is_past_the_end};
use super::tries::Requests as _;
use crate::error::{Cause, Failure};

impl S3Storage {
    pub(super) async fn meta(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let object = self.names.object(key.as_str());
        let (size, modified) = self
            .size(&object)
            .await
            .map_err(|failure| errors::error(failure, &self.names, Operation::Read, key.as_str()))?;
        Ok(ObjectMeta { key: key.clone(), size, modified })
    }

    async fn size(&self, object: &str) -> Result<(u64, Option<SystemTime>), Failure> {
        let mut tries = self.tries();
        loop {
            let request = self.client.head_object().bucket(&self.names.bucket).key(object);
            let failure = match tries.send(0, request.send()).await {
                Ok(head) => {
                    let size = head.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                    return Ok((size, modified(head.last_modified)));
                }
                Err(failure) => failure,
            };
            if failure.cause == Cause::Refused
                && failure.status.is_some_and(|status| (300..500).contains(&status))
            {
                return self.size_by_reading(object).await;
            }
            tries.again(failure).await?;
        }
    }

    /// An answer to HEAD has no body, so that a missing object, a missing bucket and credentials that have expired look
    /// alike in it. The answer to GET tells them apart.
    async fn size_by_reading(&self, object: &str) -> Result<(u64, Option<SystemTime>), Failure> {
        let mut tries = self.tries();
        loop {
            match tries.run(0, self.ask(object, 0..1, None)).await {
                Ok(opened) => return Ok((opened.size, opened.modified)),
                Err(failure) if is_past_the_end(&failure) => return Ok((0, None)),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    pub(super) async fn remove(&self, key: &Key) -> StorageResult<()> {
        let object = self.names.object(key.as_str());
        let mut tries = self.tries();
        loop {
            let request = self.client.delete_object().bucket(&self.names.bucket).key(&object);
            let failure = match tries.send(0, request.send()).await {
                Ok(_) => return Ok(()),
                // Not S3, but some that speak its language.
                Err(failure) if failure.code() == "NoSuchKey" => return Ok(()),
                Err(failure) => failure,
            };
            tries
                .again(failure)
                .await
                .map_err(|failure| errors::error(failure, &self.names, Operation::Delete, key.as_str()))?;
        }
    }
}

/// To the second, as `Last-Modified` has it: listings are more exact, and would differ.
pub(super) fn modified(time: Option<DateTime>) -> Option<SystemTime> {
    let seconds = u64::try_from(time?.secs()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

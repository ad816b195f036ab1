//! What is known of an object without reading it, and removing it.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::DateTime;
use rustwren_core::storage::remote::{Known, Opened};

use super::S3Storage;
use super::errors::is_past_the_end;
use super::tries::Requests as _;
use crate::error::{Cause, Failure};

impl S3Storage {
    pub(super) async fn ask_about(&self, object: &str) -> Result<Known, Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self.client.head_object().bucket(&self.names.bucket).key(object);
            let failure = match tries.send(0, request.send()).await {
                Ok(head) => {
                    let size = head.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                    return Ok(Known { size, modified: modified(head.last_modified) });
                }
                Err(failure) => failure,
            };
            if failure.cause == Cause::Refused
                && failure.status.is_some_and(|status| (300..500).contains(&status))
            {
                return self.known_by_reading(object).await;
            }
            tries.again(failure).await?;
        }
    }

    /// An answer to HEAD has no body, so that a missing object, a missing bucket and credentials that have expired look
    /// alike in it. The answer to GET tells them apart.
    async fn known_by_reading(&self, object: &str) -> Result<Known, Failure> {
        let mut tries = self.common.tries();
        loop {
            match tries.run(0, self.open_range(object, 0..1, None)).await {
                Ok(Opened { size, modified, .. }) => return Ok(Known { size, modified }),
                Err(failure) if is_past_the_end(&failure) => return Ok(Known { size: 0, modified: None }),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    pub(super) async fn delete_object(&self, object: &str) -> Result<(), Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self.client.delete_object().bucket(&self.names.bucket).key(object);
            match tries.send(0, request.send()).await {
                Ok(_) => return Ok(()),
                // Not S3, but some that speak its language.
                Err(failure) if failure.code() == "NoSuchKey" => return Ok(()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }
}

/// To the second, as `Last-Modified` has it: listings are more exact, and would differ.
pub(super) fn modified(time: Option<DateTime>) -> Option<SystemTime> {
    let seconds = u64::try_from(time?.secs()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

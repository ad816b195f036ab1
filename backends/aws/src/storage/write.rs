//! Writing in one request, and telling one's own write from another's.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Service as _, new_mark};

use super::S3Storage;
use super::errors::is_unmet;
use super::tries::Requests as _;
use crate::error::Failure;

/// The object's metadata in which a writer leaves its mark, so that it knows its own write again when the answer to it
/// was lost. Contents do not tell: two writers may well write the same.
const MARK: &str = "rustwren-write";

/// If-None-Match: whatever the version that is there, it must not be.
pub(super) const ANY: &str = "*";

impl S3Storage {
    pub(super) async fn write_whole(&self, object: &str, data: &Bytes) -> Result<(), Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self.client.put_object().bucket(&self.names.bucket).key(object);
            let request = request.body(ByteStream::from(data.clone()));
            match tries.send(data.len() as u64, request.send()).await {
                Ok(_) => return Ok(()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    pub(super) async fn write_if_absent(&self, object: &str, data: &Bytes) -> Result<PutOutcome, Failure> {
        let mark = new_mark();
        let mut tries = self.common.tries();
        loop {
            let request = self.client.put_object().bucket(&self.names.bucket).key(object).if_none_match(ANY);
            let request = request.metadata(MARK, &mark).body(ByteStream::from(data.clone()));
            match tries.send(data.len() as u64, request.send()).await {
                Ok(_) => return Ok(PutOutcome::Created),
                Err(failure) if is_unmet(&failure) => {
                    return self.outcome_of_existing(object, &mark, tries.uncertain).await;
                }
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// The mark of whoever wrote the object that is there now, empty where it has left none.
    pub(super) async fn written_by(&self, object: &str) -> Result<Option<String>, Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self.client.head_object().bucket(&self.names.bucket).key(object);
            match tries.send(0, request.send()).await {
                Ok(head) => {
                    let mark = head.metadata.and_then(|mut metadata| metadata.remove(MARK));
                    return Ok(Some(mark.unwrap_or_default()));
                }
                Err(failure) if failure.status == Some(404) => return Ok(None),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// Metadata with a mark.
    pub(super) fn marked(mark: &str) -> std::collections::HashMap<String, String> {
        [(MARK.to_owned(), mark.to_owned())].into()
    }
}

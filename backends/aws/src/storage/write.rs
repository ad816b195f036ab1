//! Writing in one request, and telling one's own write from another's.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use rustwren_core::storage::remote::new_mark;
use rustwren_core::storage::{Key, PutOutcome, StorageResult};

use super::S3Storage;
use super::errors::{self, Operation, is_unmet};
use super::tries::Requests as _;
use crate::error::Failure;

/// The object's metadata in which a writer leaves its mark, so that it knows its own write again when the answer to it
/// was lost. Contents do not tell: two writers may well write the same.
const MARK: &str = "rustwren-write";

/// If-None-Match: whatever the version that is there, it must not be.
pub(super) const ANY: &str = "*";

impl S3Storage {
    pub(super) async fn write(&self, key: &Key, data: Bytes, if_absent: bool) -> StorageResult<PutOutcome> {
        let object = self.names.object(key.as_str());
        let written = if self.is_large(data.len()) {
            Box::pin(self.write_parts(&object, &data, if_absent)).await
        } else if if_absent {
            self.write_if_absent(&object, &data).await
        } else {
            self.write_whole(&object, &data).await.map(|()| PutOutcome::Created)
        };
        written.map_err(|failure| errors::error(failure, &self.names, Operation::Write, key.as_str()))
    }

    async fn write_whole(&self, object: &str, data: &Bytes) -> Result<(), Failure> {
        let mut tries = self.tries();
        loop {
            let request = self.client.put_object().bucket(&self.names.bucket).key(object);
            let request = request.body(ByteStream::from(data.clone()));
            match tries.send(data.len() as u64, request.send()).await {
                Ok(_) => return Ok(()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn write_if_absent(&self, object: &str, data: &Bytes) -> Result<PutOutcome, Failure> {
        let mark = new_mark();
        let mut tries = self.tries();
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

    /// What a write came to that found an object: where an earlier attempt at it may have been carried out, that may
    /// be its own.
    pub(super) async fn outcome_of_existing(
        &self,
        object: &str,
        mark: &str,
        uncertain: bool,
    ) -> Result<PutOutcome, Failure> {
        if uncertain && self.mark_of(object).await?.as_deref() == Some(mark) {
            return Ok(PutOutcome::Created);
        }
        Ok(PutOutcome::Exists)
    }

    /// The mark of whoever wrote the object that is there now; none where it has none, or is not there.
    pub(super) async fn mark_of(&self, object: &str) -> Result<Option<String>, Failure> {
        let mut tries = self.tries();
        loop {
            let request = self.client.head_object().bucket(&self.names.bucket).key(object);
            match tries.send(0, request.send()).await {
                Ok(head) => return Ok(head.metadata.and_then(|mut metadata| metadata.remove(MARK))),
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

//! Writing in one request, and telling one's own write from another's.

use std::collections::HashMap;
use std::num::NonZero;

use azure_storage_blob::models::BlockBlobClientUploadOptions;
use bytes::Bytes;
use rustwren_core::storage::remote::new_mark;
use rustwren_core::storage::{Key, PutOutcome, StorageResult};

use super::BlobStorage;
use super::errors::{self, Operation, is_unmet};
use crate::error::Failure;
use crate::tries::Requests as _;

/// The object's metadata in which a writer leaves its mark, so that it knows its own write again when the answer to it
/// was lost. Azure wants names as of variables in a program.
pub(super) const MARK: &str = "rustwrenwrite";

/// If-None-Match: whatever the version that is there, it must not be.
pub(super) const ANY: &str = "*";

impl BlobStorage {
    pub(super) async fn write(&self, key: &Key, data: Bytes, if_absent: bool) -> StorageResult<PutOutcome> {
        let object = self.names.prefix.object(key.as_str());
        let written = if self.is_large(data.len()) {
            Box::pin(self.write_blocks(&object, &data, if_absent)).await
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
            let options =
                BlockBlobClientUploadOptions { partition_size: at_once(data), ..Default::default() };
            let (blob, content) = (self.blob(object), data.clone().into());
            let request = async move { blob.upload(content, Some(options)).await };
            match tries.send(data.len() as u64, request).await {
                Ok(_) => return Ok(()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn write_if_absent(&self, object: &str, data: &Bytes) -> Result<PutOutcome, Failure> {
        let mark = new_mark();
        let mut tries = self.tries();
        loop {
            let options = BlockBlobClientUploadOptions {
                partition_size: at_once(data),
                if_none_match: Some(ANY.into()),
                metadata: Some(marked(&mark)),
                ..Default::default()
            };
            let (blob, content) = (self.blob(object), data.clone().into());
            let request = async move { blob.upload(content, Some(options)).await };
            match tries.send(data.len() as u64, request).await {
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
        if uncertain && self.is_ours(object, mark).await? {
            return Ok(PutOutcome::Created);
        }
        Ok(PutOutcome::Exists)
    }

    /// Whether the object that is there now has this mark.
    pub(super) async fn is_ours(&self, object: &str, mark: &str) -> Result<bool, Failure> {
        Ok(self.head_opt(object).await?.is_some_and(|head| head.mark.as_deref() == Some(mark)))
    }
}

/// Metadata with a mark.
pub(super) fn marked(mark: &str) -> HashMap<String, String> {
    [(MARK.to_owned(), mark.to_owned())].into()
}

/// A size of parts that makes one of it all: the SDK's own way with several has no pace and no tries.
fn at_once(data: &Bytes) -> Option<NonZero<u64>> {
    NonZero::new((data.len() as u64).max(1))
}

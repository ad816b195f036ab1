//! Writing in one request, and telling one's own write from another's.

use std::collections::HashMap;
use std::num::NonZero;

use azure_storage_blob::models::BlockBlobClientUploadOptions;
use bytes::Bytes;
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Service as _, new_mark};

use super::BlobStorage;
use super::errors::is_unmet;
use crate::error::Failure;
use crate::tries::Requests as _;

/// The object's metadata in which a writer leaves its mark, so that it knows its own write again when the answer to it
/// was lost. Azure wants names as of variables in a program.
pub(super) const MARK: &str = "rustwrenwrite";

/// If-None-Match: whatever the version that is there, it must not be.
pub(super) const ANY: &str = "*";

impl BlobStorage {
    pub(super) async fn write_whole(&self, object: &str, data: &Bytes) -> Result<(), Failure> {
        let mut tries = self.common.tries();
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

    pub(super) async fn write_if_absent(&self, object: &str, data: &Bytes) -> Result<PutOutcome, Failure> {
        let mark = new_mark();
        let mut tries = self.common.tries();
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
}

/// Metadata with a mark.
pub(super) fn marked(mark: &str) -> HashMap<String, String> {
    [(MARK.to_owned(), mark.to_owned())].into()
}

/// A size of parts that makes one of it all: the SDK's own way with several has no pace and no tries.
fn at_once(data: &Bytes) -> Option<NonZero<u64>> {
    NonZero::new((data.len() as u64).max(1))
}

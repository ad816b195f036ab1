//! The requests by which objects are read.

use std::num::NonZero;
use std::ops::Range;

use azure_storage_blob::models::{BlobClientDownloadOptions, HttpRange};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use rustwren_core::error::BackendError;
use rustwren_core::storage::remote::{Opened, Reading, Tries, Unreceived, content_range};
use rustwren_core::storage::{Key, StorageResult};

use super::BlobStorage;
use super::errors::{self, Operation, is_past_the_end, is_unmet};
use super::head::modified;
use crate::error::{Cause, Failure};

/// A storage, as it reads. What its requests fail with is no part of its own public face.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a BlobStorage);

impl Reading for Reader<'_> {
    type Failure = Failure;
    type BodyError = azure_core::Error;
    type Body = BoxStream<'static, azure_core::Result<Bytes>>;

    fn tries(&self) -> Tries<'_> {
        self.0.tries()
    }

    fn part_size(&self) -> u64 {
        self.0.part_size
    }

    fn parallel(&self) -> usize {
        self.0.parallel
    }

    fn object(&self, key: &Key) -> String {
        self.0.names.prefix.object(key.as_str())
    }

    fn location(&self, key: &Key) -> String {
        self.0.names.location(key.as_str())
    }

    async fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> Result<Opened<Self::Body>, Failure> {
        let len = range.end - range.start;
        let options = BlobClientDownloadOptions {
            range: Some(HttpRange::new(range.start, len)),
            if_match: version.map(Into::into),
            // All of it is one request: the SDK's own way with several has no pace and no tries.
            parallel: NonZero::new(1),
            partition_size: NonZero::new(len as usize),
            ..BlobClientDownloadOptions::default()
        };
        let answer =
            self.0.blob(object).download(Some(options)).await.map_err(|error| Failure::of(&error))?;
        let said = answer.headers.get_optional_string(&"content-range".into());
        // Azurite's way to say so: `bytes 20-19/20`.
        if said.as_deref().and_then(size).is_some_and(|size| size <= range.start) {
            return Err(errors::past_the_end());
        }
        let (got, size) = match &said {
            Some(text) => {
                content_range(text).filter(|(got, _)| got.start == range.start && got.end <= range.end)
            }
            // All of it: the SDK asks without a range where an object is empty.
            None => answer
                .properties
                .content_length
                .filter(|&len| range.start == 0 && len <= range.end)
                .map(|len| (0..len, len)),
        }
        .ok_or_else(|| {
            let got = said.as_deref().unwrap_or("all of it");
            Failure::ours(Cause::Broken, format!("asked for {range:?} and got {got}"))
        })?;
        Ok(Opened {
            range: got,
            size,
            version: answer.properties.etag.map(Into::into),
            modified: modified(answer.properties.last_modified),
            body: answer.body.boxed(),
        })
    }

    async fn size(&self, key: &Key) -> StorageResult<u64> {
        Ok(self.0.meta(key).await?.size)
    }

    fn is_replaced(failure: &Failure) -> bool {
        is_unmet(failure)
    }

    fn is_past_the_end(failure: &Failure) -> bool {
        is_past_the_end(failure)
    }

    fn unreceived(problem: Unreceived<azure_core::Error>) -> Failure {
        match problem {
            Unreceived::Broken(error) => Failure::of(&error),
            Unreceived::Length(message) => Failure::ours(Cause::Broken, message),
        }
    }

    fn error(&self, failure: Failure, key: &Key) -> BackendError {
        errors::error(failure, &self.0.names, Operation::Read, key.as_str())
    }
}

/// The size of the whole, of `bytes 0-9/20`.
fn size(content_range: &str) -> Option<u64> {
    content_range.split_once('/')?.1.parse().ok()
}

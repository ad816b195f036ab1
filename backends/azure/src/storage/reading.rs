//! The requests by which objects are read.

use std::num::NonZero;
use std::ops::Range;

use azure_storage_blob::models::{BlobClientDownloadOptions, HttpRange};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use rustwren_core::storage::remote::{Opened, content_range};

use super::BlobStorage;
use super::errors;
use super::head::modified;
use crate::error::{Cause, Failure};

pub(super) type Pieces = BoxStream<'static, azure_core::Result<Bytes>>;

impl BlobStorage {
    /// Asks for a range that is not empty, and waits until the answer begins.
    pub(super) async fn open_range(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> Result<Opened<Pieces>, Failure> {
        let len = range.end - range.start;
        let options = BlobClientDownloadOptions {
            range: Some(HttpRange::new(range.start, len)),
            if_match: version.map(Into::into),
            // All of it is one request: the SDK's own way with several has no pace and no tries.
            parallel: NonZero::new(1),
            partition_size: NonZero::new(len as usize),
            ..BlobClientDownloadOptions::default()
        };
        let answer = self.blob(object).download(Some(options)).await.map_err(|error| Failure::of(&error))?;
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
}

/// The size of the whole, of `bytes 0-9/20`.
fn size(content_range: &str) -> Option<u64> {
    content_range.split_once('/')?.1.parse().ok()
}

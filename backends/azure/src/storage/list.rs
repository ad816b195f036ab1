//! Listing, page by page.

use azure_core::http::Response;
use azure_storage_blob::models::{BlobContainerClientListBlobsOptions, ListBlobsResponse};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::may_begin_a_key;
use rustwren_core::storage::{Key, ObjectMeta, StorageResult};

use super::BlobStorage;
use super::errors::{self, Operation};
use super::head::modified;
use crate::error::{Cause, Failure};
use crate::tries::Requests as _;

/// Where a listing stands.
enum Next {
    First,
    After(String),
    End,
}

/// Keys come in the order of UTF-16, which is that of bytes but for characters from here on: those beyond the sixteen
/// bits come before them in the one and after them in the other.
const OTHER_ORDER: char = '\u{e000}';

impl BlobStorage {
    pub(super) fn pages(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        if !may_begin_a_key(prefix) {
            return stream::empty().boxed();
        }
        let prefix = prefix.to_owned();
        let pages = stream::try_unfold((Next::First, None), move |(next, last)| {
            let prefix = prefix.clone();
            async move { self.next_in_order(&prefix, next, last).await }
        });
        pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
    }

    /// The next objects, where the listing stands after them, and the last key until then.
    async fn next_in_order(
        &self,
        prefix: &str,
        next: Next,
        last: Option<Key>,
    ) -> StorageResult<Option<(Vec<ObjectMeta>, (Next, Option<Key>))>> {
        let Some((objects, next)) = self.next_page(prefix, next).await? else { return Ok(None) };
        let is_other = |object: &ObjectMeta| object.key.as_str().contains(|c| c >= OTHER_ORDER);
        let (objects, next) = match objects.iter().position(is_other) {
            Some(first) => (self.put_in_order(prefix, objects, first, next).await?, Next::End),
            None => (objects, next),
        };
        let last = self.check_order(prefix, last, &objects)?;
        Ok(Some((objects, (next, last))))
    }

    /// All that is left of a listing, from the first object on whose place among the others is another in the order of
    /// bytes. Everything before it comes first in either.
    async fn put_in_order(
        &self,
        prefix: &str,
        mut objects: Vec<ObjectMeta>,
        first: usize,
        mut next: Next,
    ) -> StorageResult<Vec<ObjectMeta>> {
        while let Some((more, after)) = self.next_page(prefix, next).await? {
            objects.extend(more);
            next = after;
        }
        objects[first..].sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// The last key, where all are in ascending order.
    fn check_order(
        &self,
        prefix: &str,
        mut last: Option<Key>,
        objects: &[ObjectMeta],
    ) -> StorageResult<Option<Key>> {
        for ObjectMeta { key, .. } in objects {
            if last.as_ref().is_some_and(|last| last >= key) {
                return Err(out_of_order(&self.names.location(prefix)));
            }
            last = Some(key.clone());
        }
        Ok(last)
    }

    /// The next page, and where the listing stands after it; none after the last.
    async fn next_page(&self, prefix: &str, next: Next) -> StorageResult<Option<(Vec<ObjectMeta>, Next)>> {
        let marker = match next {
            Next::First => None,
            Next::After(marker) => Some(marker),
            Next::End => return Ok(None),
        };
        let page = self
            .page(prefix, marker)
            .await
            .map_err(|failure| errors::error(failure, &self.names, Operation::List, prefix))?;
        let mut objects = Vec::new();
        for blob in page.blob_items {
            // What others have put there under names that no key has is none of ours.
            let Some(key) = blob.name.and_then(|name| self.names.prefix.key(&name)) else { continue };
            let (size, time) = match blob.properties {
                Some(properties) => (properties.content_length.unwrap_or(0), properties.last_modified),
                None => (0, None),
            };
            objects.push(ObjectMeta { key, size, modified: modified(time) });
        }
        let next = match page.next_marker.filter(|marker| !marker.is_empty()) {
            Some(marker) => Next::After(marker),
            None => Next::End,
        };
        Ok(Some((objects, next)))
    }

    async fn page(&self, prefix: &str, marker: Option<String>) -> Result<ListBlobsResponse, Failure> {
        let prefix = self.names.prefix.object(prefix);
        let mut tries = self.tries();
        loop {
            let options = BlobContainerClientListBlobsOptions {
                prefix: Some(prefix.clone()).filter(|prefix| !prefix.is_empty()),
                marker: marker.clone(),
                ..BlobContainerClientListBlobsOptions::default()
            };
            let request = async {
                let mut pages = self.client.list_blobs(Some(options))?.into_pages();
                pages.try_next().await?.map(Response::into_model).transpose()
            };
            match tries.send(0, request).await {
                Ok(Some(page)) => return Ok(page),
                Ok(None) => return Err(Failure::ours(Cause::Broken, "the answer has no page")),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }
}

fn out_of_order(location: &str) -> BackendError {
    BackendError::new(
        ErrorClass::Misconfigured,
        format!("listing {location}: keys do not come in ascending order"),
    )
    .with_hint("accounts with a hierarchical namespace (Data Lake) list so: use one without")
}

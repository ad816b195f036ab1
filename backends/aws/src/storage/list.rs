//! Listing, page by page.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::may_begin_a_key;
use rustwren_core::storage::{Key, ObjectMeta, StorageResult};

use super::S3Storage;
use super::errors::{self, Operation};
use super::head::modified;
use super::names::decoded;
use super::tries::Requests as _;
use crate::error::Failure;

/// Where a listing stands.
enum Next {
    First,
    After(String),
    End,
}

impl S3Storage {
    pub(super) fn pages(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        if !may_begin_a_key(prefix) {
            return stream::empty().boxed();
        }
        let prefix = prefix.to_owned();
        let pages = stream::try_unfold((Next::First, None), move |(next, last)| {
            let prefix = prefix.clone();
            async move { self.next_page(&prefix, next, last).await }
        });
        pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
    }

    /// The next page, where the listing stands after it, and the last key until then.
    async fn next_page(
        &self,
        prefix: &str,
        next: Next,
        mut last: Option<Key>,
    ) -> StorageResult<Option<(Vec<ObjectMeta>, (Next, Option<Key>))>> {
        let token = match next {
            Next::First => None,
            Next::After(token) => Some(token),
            Next::End => return Ok(None),
        };
        let page = self
            .page(prefix, token)
            .await
            .map_err(|failure| errors::error(failure, &self.names, Operation::List, prefix))?;
        let is_encoded = page.encoding_type == Some(EncodingType::Url);
        let mut objects = Vec::new();
        for object in page.contents.unwrap_or_default() {
            let name = object.key.unwrap_or_default();
            let name = if is_encoded { decoded(&name).map(std::borrow::Cow::into_owned) } else { Some(name) };
            // What others have put there under names that no key has is none of ours.
            let Some(key) = name.and_then(|name| self.names.key(&name)) else { continue };
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(out_of_order(&self.names.location(prefix)));
            }
            last = Some(key.clone());
            let size = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            objects.push(ObjectMeta { key, size, modified: modified(object.last_modified) });
        }
        let next = match page.next_continuation_token {
            Some(token) if page.is_truncated == Some(true) => Next::After(token),
            _ => Next::End,
        };
        Ok(Some((objects, (next, last))))
    }

    async fn page(&self, prefix: &str, token: Option<String>) -> Result<ListObjectsV2Output, Failure> {
        let prefix = self.names.object(prefix);
        let mut tries = self.tries();
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.names.bucket)
                .prefix(&prefix)
                // XML cannot hold every character that a key may have.
                .encoding_type(EncodingType::Url)
                .set_continuation_token(token.clone());
            match tries.send(0, request.send()).await {
                Ok(page) => return Ok(page),
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
    .with_hint("directory buckets (S3 Express One Zone) list so: use a general purpose bucket")
}

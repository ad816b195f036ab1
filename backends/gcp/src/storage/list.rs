//! Listing, page by page.

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::may_begin_a_key;
use rustwren_core::storage::{Key, ObjectMeta, StorageResult};
use serde::Deserialize;

use super::GcsStorage;
use super::errors::Operation;
use super::head::{Resource, no_bucket};
use crate::error::Failure;

/// Where a listing stands.
enum Next {
    First,
    After(String),
    End,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Option<Vec<Resource>>,
    next_page_token: Option<String>,
}

impl GcsStorage {
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
        let error = |failure| self.error(failure, Operation::List, prefix);
        let page = self.page(prefix, token.as_deref()).await.map_err(error)?;
        let mut objects = Vec::new();
        for object in page.items.unwrap_or_default() {
            // What others have put there under names that no key has is none of ours.
            let Some(key) = self.names.key(&object.name) else { continue };
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(out_of_order(&self.names.location(prefix)));
            }
            last = Some(key.clone());
            objects.push(object.meta(key).map_err(error)?);
        }
        let next = match page.next_page_token {
            Some(token) if !token.is_empty() => Next::After(token),
            _ => Next::End,
        };
        Ok(Some((objects, (next, last))))
    }

    async fn page(&self, prefix: &str, token: Option<&str>) -> Result<Page, Failure> {
        let prefix = self.names.object(prefix);
        let mut query =
            vec![("prefix", prefix.as_str()), ("fields", "items(name,size,updated),nextPageToken")];
        query.extend(token.map(|token| ("pageToken", token)));
        let mut tries = self.tries();
        loop {
            let request = self.json.request(Method::GET, self.json.objects(&query));
            let attempt = async { self.json.send(request).await?.read() };
            match tries.run(0, attempt).await {
                Ok(page) => return Ok(page),
                Err(failure) if failure.status == Some(404) => return Err(no_bucket(failure)),
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
    .with_hint("the service at `endpoint` does not list as Cloud Storage does: use one that does")
}

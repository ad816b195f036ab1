//! Listing, page by page.

use reqwest::Method;
use rustwren_core::storage::remote::Page;
use serde::Deserialize;

use super::GcsStorage;
use super::head::{Resource, no_bucket};
use crate::error::Failure;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    items: Option<Vec<Resource>>,
    next_page_token: Option<String>,
}

impl GcsStorage {
    pub(super) async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Failure> {
        let mut query = vec![("prefix", prefix), ("fields", "items(name,size,updated),nextPageToken")];
        query.extend(after.map(|token| ("pageToken", token)));
        let mut tries = self.common.tries();
        loop {
            let request = self.json.request(Method::GET, self.json.objects(&query));
            let attempt = async { self.json.send(request).await?.read() };
            match tries.run(0, attempt).await {
                Ok(listing) => return self.objects(listing),
                Err(failure) if failure.status == Some(404) => return Err(no_bucket(failure)),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    fn objects(&self, listing: Listing) -> Result<Page, Failure> {
        let items = listing.items.unwrap_or_default().into_iter();
        let objects = items
            .filter_map(|item| Some(item.meta(self.names.prefix.key(&item.name)?)))
            .collect::<Result<_, _>>()?;
        Ok(Page { objects, next: listing.next_page_token })
    }
}

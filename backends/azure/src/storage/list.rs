//! Listing, page by page.

use azure_core::http::Response;
use azure_storage_blob::models::{BlobContainerClientListBlobsOptions, ListBlobsResponse};
use futures_util::stream::TryStreamExt as _;
use rustwren_core::storage::ObjectMeta;
use rustwren_core::storage::remote::Page;

use super::BlobStorage;
use super::head::modified;
use crate::error::{Cause, Failure};
use crate::tries::Requests as _;

impl BlobStorage {
    pub(super) async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Failure> {
        let mut tries = self.common.tries();
        loop {
            let options = BlobContainerClientListBlobsOptions {
                prefix: Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty()),
                marker: after.map(str::to_owned),
                ..BlobContainerClientListBlobsOptions::default()
            };
            let request = async {
                let mut pages = self.client.list_blobs(Some(options))?.into_pages();
                pages.try_next().await?.map(Response::into_model).transpose()
            };
            match tries.send(0, request).await {
                Ok(Some(page)) => return Ok(self.objects(page)),
                Ok(None) => return Err(Failure::ours(Cause::Broken, "the answer has no page")),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    fn objects(&self, page: ListBlobsResponse) -> Page {
        let objects = page.blob_items.into_iter().filter_map(|blob| {
            let key = self.names.prefix.key(&blob.name?)?;
            let (size, time) = match blob.properties {
                Some(properties) => (properties.content_length.unwrap_or(0), properties.last_modified),
                None => (0, None),
            };
            Some(ObjectMeta { key, size, modified: modified(time) })
        });
        Page { objects: objects.collect(), next: page.next_marker }
    }
}

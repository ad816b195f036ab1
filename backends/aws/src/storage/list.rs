//! Listing, page by page.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use rustwren_core::storage::ObjectMeta;
use rustwren_core::storage::remote::Page;

use super::S3Storage;
use super::head::modified;
use super::names::decoded;
use super::tries::Requests as _;
use crate::error::Failure;

impl S3Storage {
    pub(super) async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.names.bucket)
                .prefix(prefix)
                // XML cannot hold every character that a key may have.
                .encoding_type(EncodingType::Url)
                .set_continuation_token(after.map(str::to_owned));
            match tries.send(0, request.send()).await {
                Ok(page) => return Ok(self.objects(page)),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    fn objects(&self, page: ListObjectsV2Output) -> Page {
        let is_encoded = page.encoding_type == Some(EncodingType::Url);
        let objects = page.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let name = object.key.unwrap_or_default();
            let name = if is_encoded { decoded(&name)?.into_owned() } else { name };
            let key = self.names.prefix.key(&name)?;
            let size = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            Some(ObjectMeta { key, size, modified: modified(object.last_modified) })
        });
        let is_truncated = page.is_truncated == Some(true);
        Page { objects: objects.collect(), next: page.next_continuation_token.filter(|_| is_truncated) }
    }
}

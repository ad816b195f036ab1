//! Storages in buckets of their own.

use rustwren_aws::S3Storage;
use rustwren_aws::client::{Access, Keys};
use rustwren_aws::config::StorageConfig;
use rustwren_core::storage::Key;
use rustwren_core::storage::remote::Parts;
use rustwren_testkit::standins::Moto;

/// A configuration for a bucket behind this endpoint.
pub(crate) fn config(endpoint: String, bucket: String) -> StorageConfig {
    let credentials = Some(Keys { id: "test".to_owned(), secret: "test".to_owned() });
    StorageConfig {
        access: Access { endpoint: Some(endpoint), credentials, ..Access::default() },
        bucket,
        prefix: Some(Key::new("a prefix/of ours").unwrap()),
        path_style: true,
        parts: Parts { size: 5 << 20, parallel: 4 },
    }
}

/// A storage in a new bucket.
pub(crate) async fn storage(moto: &Moto) -> S3Storage {
    S3Storage::open(&config(moto.endpoint(), moto.new_bucket())).await.unwrap()
}

//! Objects in S3, or in a service that speaks its language.

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rustwren_core::storage::remote::{Pace, Prefix, read};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};

use crate::client::Retries;
use crate::config::StorageConfig;

mod errors;
mod head;
mod list;
mod names;
mod parts;
mod reading;
mod tries;
mod write;

use names::Names;
use reading::Reader;

/// A bucket, or what lies below a prefix in it.
///
/// Large objects travel in parts, several at once. What fails in passing is tried again a few times within seconds; when
/// S3 asks for a slower pace, fewer requests are under way at once until it no longer does. It belongs to the async
/// runtime on which it was made.
#[derive(Debug)]
pub struct S3Storage {
    client: Client,
    names: Names,
    part_size: u64,
    parallel: usize,
    pace: Pace,
}

impl S3Storage {
    /// The storage of this configuration, or none where neither it nor the environment names a region. No request is
    /// sent to S3.
    pub async fn open(config: &StorageConfig) -> Option<Self> {
        let sdk = config.access.load(Retries::Caller).await;
        let region = sdk.region()?.to_string();
        let s3 = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(config.path_style).build();
        let names =
            Names { bucket: config.bucket.clone(), prefix: Prefix::from(config.prefix.clone()), region };
        Some(Self {
            client: Client::from_conf(s3),
            names,
            part_size: config.part_size,
            parallel: config.parallel,
            pace: Pace::default(),
        })
    }

    /// The SDK's client, for what `Storage` has no words for.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is larger is written in parts.
    fn is_large(&self, size: usize) -> bool {
        size as u64 > 2 * self.part_size
    }
}

#[async_trait]
impl Storage for S3Storage {
    fn location(&self) -> String {
        self.names.location("")
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.write(key, data, false).await.map(drop)
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.write(key, data, true).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        read(&Reader(self), key, 0..u64::MAX).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        if range.is_empty() {
            // Empty wherever it lies, but of nothing where there is no object.
            return self.meta(key).await.map(|_| Bytes::new());
        }
        read(&Reader(self), key, range).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        self.meta(key).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        self.pages(prefix)
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.remove(key).await
    }
}

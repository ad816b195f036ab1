//! Objects in Blob storage, or in a service that speaks its language.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::storage::remote::{Pace, Prefix, Tries, read};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};

use crate::client::{Service, VERSION};
use crate::config::StorageConfig;

mod blocks;
mod errors;
mod head;
mod list;
mod reading;
mod write;

use reading::Reader;

/// A container, or what lies below a prefix in it.
///
/// Large objects travel in parts, several at once. What fails in passing is tried again a few times within seconds; when
/// Azure asks for a slower pace, fewer requests are under way at once until it no longer does. It belongs to the async
/// runtime on which it is used first.
pub struct BlobStorage {
    client: BlobContainerClient,
    names: Names,
    part_size: u64,
    parallel: usize,
    pace: Pace,
}

/// Where keys lie, and what to call it.
#[derive(Debug)]
struct Names {
    container: String,
    /// Of the container, without what is secret.
    url: String,
    prefix: Prefix,
}

impl Names {
    /// Where it is, for people.
    fn location(&self, key: &str) -> String {
        format!("{}/{}", self.url, self.prefix.object(key)).trim_end_matches('/').to_owned()
    }
}

/// Without the URLs of the SDK's client, which may hold a signature.
impl fmt::Debug for BlobStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStorage").field("names", &self.names).finish_non_exhaustive()
    }
}

impl BlobStorage {
    /// The storage of this configuration. No request is sent.
    pub fn open(config: &StorageConfig) -> Result<Self> {
        let connection = config.access.connect(Service::Blob)?;
        let url = connection.url(&config.container)?;
        let names = Names {
            container: config.container.clone(),
            url: format!("{}/{}", connection.endpoint, config.container),
            prefix: config.prefix.clone().into(),
        };
        let options =
            BlobContainerClientOptions { client_options: connection.options, version: VERSION.to_owned() };
        let client = BlobContainerClient::new(url, connection.token, Some(options)).map_err(|error| {
            Error::new(ErrorKind::Config, format!("there can be no client for {}", names.url))
                .with_source(error)
        })?;
        Ok(Self {
            client,
            names,
            part_size: config.part_size,
            parallel: config.parallel,
            pace: Pace::default(),
        })
    }

    /// The SDK's client, for what `Storage` has no words for.
    pub fn client(&self) -> &BlobContainerClient {
        &self.client
    }

    fn tries(&self) -> Tries<'_> {
        Tries::new(&self.pace)
    }

    fn blob(&self, object: &str) -> BlobClient {
        self.client.blob_client(object)
    }

    /// What is larger is written in blocks.
    fn is_large(&self, size: usize) -> bool {
        size as u64 > 2 * self.part_size
    }
}

#[async_trait]
impl Storage for BlobStorage {
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

//! Objects in Cloud Storage, or in a service that speaks its language.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::client::Storage as Client;
use google_cloud_storage::read_resume_policy::NeverResume;
use rustwren_core::error::{BackendError, ErrorClass, chain};
use rustwren_core::storage::remote::{Pace, Prefix, read};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};
use tokio::time::timeout;

use crate::client::Renewing;
use crate::config::StorageConfig;

mod errors;
mod head;
mod json;
mod list;
mod names;
mod reading;
mod tries;
mod turns;
mod upload;
mod write;

use json::Json;
use names::Names;
use reading::Reader;
use turns::Turns;

/// How long it may take to learn as whom requests are sent.
const OPENING: Duration = Duration::from_secs(20);

/// A bucket, or what lies below a prefix in it.
///
/// Objects are read and written by Google's own crate, large ones in parts or in resumable uploads. What fails in passing
/// is tried again a few times within seconds; when the service asks for a slower pace, fewer requests are under way at once
/// until it no longer does, and an object that is written too often waits alone. It belongs to the async runtime on which
/// it was made.
#[derive(Debug)]
pub struct GcsStorage {
    client: Client,
    credentials: Renewing,
    json: Json,
    names: Names,
    part_size: u64,
    parallel: usize,
    pace: Pace,
    turns: Turns,
    is_anonymous: bool,
    /// Whether the bucket was seen: where an answer does not say what it is that is not there, it is the object.
    bucket_is_there: AtomicBool,
}

impl GcsStorage {
    /// The storage of this configuration. No request is sent to Cloud Storage.
    pub async fn open(config: &StorageConfig) -> StorageResult<Self> {
        let names = Names { bucket: config.bucket.clone(), prefix: Prefix::from(config.prefix.clone()) };
        let location = names.location("");
        let failed = |class, why: &str| BackendError::new(class, format!("opening {location}: {why}"));
        let no_credentials = |class, why: &str| {
            failed(class, why).with_hint(
                "log in (`gcloud auth application-default login`), or set `anonymous = true` in [storage] where no \
                 credentials are needed",
            )
        };
        let credentials = config.access.renewing().map_err(|why| no_credentials(ErrorClass::Denied, &why))?;
        let endpoint = config.access.storage_endpoint();
        let json = Json::new(endpoint, &config.bucket, credentials.clone())
            .map_err(|why| failed(ErrorClass::Misconfigured, &why))?;
        // How often and at which pace something is tried again is decided here, where it is known what it may have done.
        let builder = Client::builder()
            .with_endpoint(endpoint)
            .with_credentials(Credentials::from(credentials.clone()))
            .with_retry_policy(NeverRetry)
            .with_read_resume_policy(NeverResume);
        let client = timeout(OPENING, builder.build())
            .await
            .map_err(|_| {
                no_credentials(ErrorClass::TimedOut, "whoever gives credentials did not answer in time")
            })?
            .map_err(|error| failed(ErrorClass::Misconfigured, &chain(&error)))?;
        Ok(Self {
            client,
            credentials,
            json,
            names,
            part_size: config.part_size,
            parallel: config.parallel,
            pace: Pace::default(),
            turns: Turns::default(),
            is_anonymous: config.access.anonymous && config.access.token.is_none(),
            bucket_is_there: AtomicBool::new(false),
        })
    }

    /// What is larger is written in a resumable upload.
    fn is_large(&self, size: usize) -> bool {
        size as u64 > 2 * self.part_size
    }
}

#[async_trait]
impl Storage for GcsStorage {
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

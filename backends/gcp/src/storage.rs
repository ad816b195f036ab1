//! Objects in Cloud Storage, or in a service that speaks its language.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::client::Storage as Client;
use google_cloud_storage::read_resume_policy::NeverResume;
use rustwren_core::error::{BackendError, ErrorClass, chain};
use rustwren_core::storage::StorageResult;
use rustwren_core::storage::remote::Common;
use tokio::time::timeout;

use crate::client::Renewing;
use crate::config::StorageConfig;

mod errors;
mod head;
mod json;
mod list;
mod names;
mod reading;
mod service;
mod tries;
mod turns;
mod upload;
mod write;

use json::Json;
use names::Names;
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
    common: Common,
    turns: Turns,
    is_anonymous: bool,
    /// Whether the bucket was seen: where an answer does not say what it is that is not there, it is the object.
    bucket_is_there: AtomicBool,
}

impl GcsStorage {
    /// The storage of this configuration. No request is sent to Cloud Storage.
    pub async fn open(config: &StorageConfig) -> StorageResult<Self> {
        let names = Names { bucket: config.bucket.clone(), prefix: config.prefix.clone().into() };
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
            common: Common::new(config.prefix.clone(), config.parts),
            turns: Turns::default(),
            is_anonymous: config.access.anonymous && config.access.token.is_none(),
            bucket_is_there: AtomicBool::new(false),
        })
    }
}

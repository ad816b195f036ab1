//! Objects in S3, or in a service that speaks its language.

use aws_sdk_s3::Client;
use rustwren_core::storage::remote::Common;

use crate::client::Retries;
use crate::config::StorageConfig;

mod errors;
mod head;
mod list;
mod names;
mod parts;
mod reading;
mod service;
mod tries;
mod write;

use names::Names;

/// A bucket, or what lies below a prefix in it.
///
/// Large objects travel in parts, several at once. What fails in passing is tried again a few times within seconds; when
/// S3 asks for a slower pace, fewer requests are under way at once until it no longer does. It belongs to the async
/// runtime on which it was made.
#[derive(Debug)]
pub struct S3Storage {
    client: Client,
    names: Names,
    common: Common,
}

impl S3Storage {
    /// The storage of this configuration, or none where neither it nor the environment names a region. No request is
    /// sent to S3.
    pub async fn open(config: &StorageConfig) -> Option<Self> {
        let sdk = config.access.load(Retries::Caller).await;
        let region = sdk.region()?.to_string();
        let s3 = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(config.path_style).build();
        let names = Names { bucket: config.bucket.clone(), prefix: config.prefix.clone().into(), region };
        let common = Common::new(config.prefix.clone(), config.parts);
        Some(Self { client: Client::from_conf(s3), names, common })
    }

    /// The SDK's client, for what `Storage` has no words for.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

//! What is known of an object without reading it, and removing it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use rustwren_core::error::BackendError;
use rustwren_core::storage::{Key, ObjectMeta, StorageResult};
use serde::Deserialize;

use super::GcsStorage;
use super::errors::{self, Missing, NO_BUCKET, Operation, missing};
use super::json::{Answer, Number};
use crate::error::{Cause, Failure};

/// The fields of an object that are asked for.
const FIELDS: (&str, &str) = ("fields", "name,size,updated,generation,metadata");

/// What the service knows of an object.
#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    size: Number,
    updated: Option<String>,
    #[serde(default)]
    generation: Number,
    #[serde(default)]
    pub(super) metadata: HashMap<String, String>,
}

impl Resource {
    pub(super) fn size(&self) -> Result<u64, Failure> {
        self.size.parse().map_err(|_| {
            Failure::ours(Cause::Broken, format!("the answer says {:?} where a size should be", self.size))
        })
    }

    pub(super) fn generation(&self) -> Option<i64> {
        self.generation.parse().ok()
    }

    /// To the second: whatever is more exact differs between servers, and from one request to another.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let updated: jiff::Timestamp = self.updated.as_deref()?.parse().ok()?;
        let seconds = u64::try_from(updated.as_second()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    pub(super) fn meta(&self, key: Key) -> Result<ObjectMeta, Failure> {
        Ok(ObjectMeta { key, size: self.size()?, modified: self.modified() })
    }
}

impl GcsStorage {
    pub(super) async fn meta(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let known = self.known(&self.names.object(key.as_str())).await;
        let meta = known.and_then(|known| known.meta(key.clone()));
        match meta {
            Ok(meta) => Ok(meta),
            Err(failure) => Err(self.error_of_object(failure, Operation::Read, key).await),
        }
    }

    /// What the service knows of an object.
    pub(super) async fn known(&self, object: &str) -> Result<Resource, Failure> {
        let mut tries = self.tries();
        loop {
            let request = self.json.request(Method::GET, self.json.object(object, &[FIELDS]));
            let attempt = async { self.json.send(request).await?.read() };
            match tries.run(0, attempt).await {
                Ok(resource) => return Ok(resource),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    pub(super) async fn remove(&self, key: &Key) -> StorageResult<()> {
        let object = self.names.object(key.as_str());
        match self.removed(&object).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.status == Some(404) => {
                let failure = self.what_is_missing(failure).await;
                if failure.status == Some(404) && failure.reason() != NO_BUCKET {
                    return Ok(());
                }
                Err(self.error(failure, Operation::Delete, key.as_str()))
            }
            Err(failure) => Err(self.error(failure, Operation::Delete, key.as_str())),
        }
    }

    async fn removed(&self, object: &str) -> Result<(), Failure> {
        let mut tries = self.tries();
        loop {
            self.turns.wait(object).await;
            let request = self.json.request(Method::DELETE, self.json.object(object, &[]));
            let attempt = async {
                let answer = self.json.send(request).await?;
                if (200..300).contains(&answer.status) { Ok(()) } else { Err(answer.failure()) }
            };
            match tries.run(0, attempt).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    self.note_refusal(object, &failure);
                    tries.again(failure).await?;
                }
            }
        }
    }

    /// Where this object alone is written too often, its next write waits.
    pub(super) fn note_refusal(&self, object: &str, failure: &Failure) {
        if errors::is_of_one_object(failure) {
            self.turns.refused(object);
        }
    }

    /// A 404 that says whether it is the bucket that is missing. Not all servers say so, and a bucket that is not there
    /// is no missing object: then the bucket is asked for, once.
    pub(super) async fn what_is_missing(&self, failure: Failure) -> Failure {
        match missing(&failure) {
            _ if failure.status != Some(404) => failure,
            Missing::Object => failure,
            Missing::Bucket => no_bucket(failure),
            Missing::Unsaid if self.bucket_is_there.load(Ordering::Relaxed) => failure,
            Missing::Unsaid => match self.page_of_one().await {
                Ok(Answer { status: 200..300, .. }) => {
                    self.bucket_is_there.store(true, Ordering::Relaxed);
                    failure
                }
                Ok(answer) if answer.status == 404 => no_bucket(answer.failure()),
                Ok(answer) => answer.failure(),
                Err(other) => other,
            },
        }
    }

    /// Answers whether the bucket is there to whoever may list it.
    async fn page_of_one(&self) -> Result<Answer, Failure> {
        let prefix = self.names.object("");
        let mut tries = self.tries();
        loop {
            let query = [("prefix", prefix.as_str()), ("maxResults", "1"), ("fields", "nextPageToken")];
            let request = self.json.request(Method::GET, self.json.objects(&query));
            let attempt = async {
                let answer = self.json.send(request).await?;
                if answer.status >= 500 || answer.status == 429 { Err(answer.failure()) } else { Ok(answer) }
            };
            match tries.run(0, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// The error for the caller.
    pub(super) fn error(&self, failure: Failure, operation: Operation, key: &str) -> BackendError {
        errors::error(failure, &self.names, self.is_anonymous, operation, key)
    }

    /// The same of a request for an object, which may not be there.
    pub(super) async fn error_of_object(
        &self,
        failure: Failure,
        operation: Operation,
        key: &Key,
    ) -> BackendError {
        let failure = self.what_is_missing(failure).await;
        self.error(failure, operation, key.as_str())
    }
}

/// The same failure, by our name for it.
pub(super) fn no_bucket(mut failure: Failure) -> Failure {
    failure.reason = Some(NO_BUCKET.to_owned());
    failure
}

//! What is known of an object without reading it, and removing it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use rustwren_core::storage::{Key, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::GcsStorage;
use super::errors::{self, Missing, NO_BUCKET, is_no_object, missing};
use crate::error::{Cause, Failure};

/// The fields of an object that are asked for.
const FIELDS: (&str, &str) = ("fields", "name,size,updated,generation,metadata");

/// What the service knows of an object. Servers that are not Google's leave out what is empty, or say `null`, and have
/// numbers where Google has them as text.
#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    size: Value,
    updated: Option<String>,
    #[serde(default)]
    generation: Value,
    pub(super) metadata: Option<HashMap<String, String>>,
}

impl Resource {
    pub(super) fn size(&self) -> Result<u64, Failure> {
        number(&self.size).and_then(|size| u64::try_from(size).ok()).ok_or_else(|| {
            Failure::ours(Cause::Broken, format!("the answer says {} where a size should be", self.size))
        })
    }

    pub(super) fn generation(&self) -> Option<i64> {
        number(&self.generation)
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

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

impl GcsStorage {
    /// What the service knows of an object.
    pub(super) async fn ask_about(&self, object: &str) -> Result<Resource, Failure> {
        let mut tries = self.common.tries();
        loop {
            match tries.run(0, self.ask_once_about(object)).await {
                Ok(resource) => return Ok(resource),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// One request about an object.
    pub(super) async fn ask_once_about(&self, object: &str) -> Result<Resource, Failure> {
        let request = self.json.request(Method::GET, self.json.object(object, &[FIELDS]));
        match self.json.send(request).await?.read() {
            Ok(resource) => Ok(resource),
            Err(failure) => Err(self.what_is_missing(failure).await),
        }
    }

    pub(super) async fn delete_object(&self, object: &str) -> Result<(), Failure> {
        let mut tries = self.common.tries();
        loop {
            self.turns.wait(object).await;
            match tries.run(0, self.ask_to_remove(object)).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    self.note_refusal(object, &failure);
                    tries.again(failure).await?;
                }
            }
        }
    }

    async fn ask_to_remove(&self, object: &str) -> Result<(), Failure> {
        let request = self.json.request(Method::DELETE, self.json.object(object, &[]));
        let answer = self.json.send(request).await?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let failure = self.what_is_missing(answer.failure()).await;
        // Of what is not there nothing has to be removed.
        if is_no_object(&failure) { Ok(()) } else { Err(failure) }
    }

    /// Where this object alone is written too often, its next write waits.
    pub(super) fn note_refusal(&self, object: &str, failure: &Failure) {
        if errors::is_of_one_object(failure) {
            self.turns.refused(object);
        }
    }

    /// A 404 that says whether it is the bucket that is missing. Not all servers say so, and a bucket that is not there
    /// is no missing object: then the bucket is asked for, once. One request, not tried again: it is part of one that is.
    pub(super) async fn what_is_missing(&self, failure: Failure) -> Failure {
        if failure.status != Some(404) {
            return failure;
        }
        match missing(&failure) {
            Missing::Object => failure,
            Missing::Bucket => no_bucket(failure),
            Missing::Unsaid if self.bucket_is_there.load(Ordering::Relaxed) => failure,
            Missing::Unsaid => {
                let prefix = self.names.object("");
                let query = [("prefix", prefix.as_str()), ("maxResults", "1"), ("fields", "nextPageToken")];
                let listing = self.json.request(Method::GET, self.json.objects(&query));
                match self.json.send(listing).await {
                    Ok(answer) if (200..300).contains(&answer.status) => {
                        self.bucket_is_there.store(true, Ordering::Relaxed);
                        failure
                    }
                    Ok(answer) if answer.status == 404 => no_bucket(answer.failure()),
                    Ok(answer) => answer.failure(),
                    Err(other) => other,
                }
            }
        }
    }
}

/// The same failure, by our name for it.
pub(super) fn no_bucket(mut failure: Failure) -> Failure {
    failure.reason = Some(NO_BUCKET.to_owned());
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_of_several_servers() {
        for text in [
            r#"{"name": "k", "size": "7", "generation": "1700000000000001", "updated": "2026-01-31T23:59:59.999Z"}"#,
            r#"{"name": "k", "size": 7, "generation": 1700000000000001, "updated": "2026-02-01T00:59:59+01:00", "metadata": null}"#,
        ] {
            let resource: Resource = serde_json::from_str(text).unwrap();
            assert_eq!(resource.size().unwrap(), 7);
            assert_eq!(resource.generation(), Some(1_700_000_000_000_001));
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_903_999);
            assert_eq!(resource.modified(), Some(modified), "{text}");
        }
        let nothing: Resource = serde_json::from_str("{}").unwrap();
        assert!(nothing.size().unwrap_err().message.contains("null"));
        assert_eq!((nothing.generation(), nothing.modified()), (None, None));
    }
}

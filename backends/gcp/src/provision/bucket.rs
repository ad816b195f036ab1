//! The bucket.

use async_trait::async_trait;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::clients::Clients;
use super::marks::{LABEL, OURS};
use crate::refusal::Refusal;
use crate::rest::{Api, Request};

const KIND: &str = "bucket";

#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    /// Where it is made.
    pub(super) region: String,
}

/// The path of an object.
pub(super) fn object_path(bucket: &str, object: &str) -> String {
    format!("/storage/v1/b/{bucket}/o/{}", utf8_percent_encode(object, NON_ALPHANUMERIC))
}

impl Bucket {
    fn path(&self) -> String {
        format!("/storage/v1/b/{}", self.name)
    }

    pub(super) async fn find(&self, google: &Clients) -> Result<Option<Value>, Refusal> {
        google
            .rest
            .find(Request::get(Api::Storage, self.path(), format!("looking for the bucket {}", self.name)))
            .await
    }

    fn is_ours(found: &Value) -> bool {
        found["labels"][LABEL] == OURS
    }

    /// Removes what is in it: nothing of what setup made for jobs is kept without it.
    async fn empty(&self, google: &Clients, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("emptying the bucket {}", self.name);
        loop {
            // Always the first page: what was on it is gone by then.
            let path = format!("{}/o?maxResults=1000&fields=items(name),nextPageToken", self.path());
            let list = || google.rest.find(Request::get(Api::Storage, path.clone(), attempt.clone()));
            let Some(page) = patience.until_done(|_| None, list).await? else { return Ok(()) };
            let names =
                page["items"].as_array().into_iter().flatten().filter_map(|item| item["name"].as_str());
            let mut any = false;
            for name in names {
                any = true;
                let path = object_path(&self.name, name);
                let delete =
                    || google.rest.find(Request::delete(Api::Storage, path.clone(), attempt.clone()));
                patience.until_done(|_| None, delete).await?;
            }
            if !any {
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl Resource<Clients> for Bucket {
    async fn plan(&self, google: &Clients) -> Result<Planned> {
        let step = |change| Step::new(KIND, self.name.clone(), change);
        let step = match self.find(google).await? {
            None => step(Change::Create).about(format!("in {}, closed to the public", self.region)),
            Some(found) if Self::is_ours(&found) => {
                step(Change::None).about(format!("in {}, closed to the public", self.region))
            }
            Some(_) => step(Change::None).about("not made by setup, used as it is"),
        };
        Ok(step.into())
    }

    async fn apply(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let body = json!({
            "name": self.name,
            "location": self.region,
            "labels": { LABEL: OURS },
            "iamConfiguration": {
                "uniformBucketLevelAccess": { "enabled": true },
                "publicAccessPrevention": "enforced",
            },
        });
        let path = format!("/storage/v1/b?project={}", google.project());
        let attempt = format!("making the bucket {}", self.name);
        let make = || {
            google.rest.call(Request::with(Method::POST, Api::Storage, path.clone(), &body, attempt.clone()))
        };
        // One that is there by now is somebody else's, or of a run that goes on at the same time.
        patience.until_done(|_| None, make).await?;
        Ok(())
    }

    async fn removal(&self, google: &Clients) -> Result<Removal> {
        Ok(match self.find(google).await? {
            None => Removal::Nothing,
            Some(found) if Self::is_ours(&found) => Removal::Ours(
                Step::new(KIND, self.name.clone(), Change::Delete)
                    .about("with everything that jobs have stored in it"),
            ),
            Some(_) => Removal::Stays(format!("the bucket {} was not made by setup, and stays", self.name)),
        })
    }

    async fn remove(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        self.empty(google, patience).await?;
        let attempt = format!("removing the bucket {}", self.name);
        let remove = || google.rest.find(Request::delete(Api::Storage, self.path(), attempt.clone()));
        patience.until_done(|_| None, remove).await?;
        Ok(())
    }
}

//! The archive that Cloud Run starts workers from: an object in the bucket, named by what is in it.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::bucket::object_path;
use super::clients::Clients;
use super::package::Source;
use crate::rest::{Api, Request};

const KIND: &str = "runtime";

#[derive(Debug)]
pub(super) struct Archive {
    pub(super) bucket: String,
    /// What names of objects begin with, with a slash at its end where there is any.
    pub(super) prefix: String,
    pub(super) source: Arc<Source>,
}

impl Archive {
    /// The folder of all of them.
    fn folder(&self) -> String {
        format!("{}setup/", self.prefix)
    }

    /// The object's name.
    pub(super) fn object(&self) -> Result<String> {
        Ok(format!("{}{}.tar.gz", self.folder(), self.source.hash()?))
    }

    /// Those of any runtime that was deployed.
    async fn all(&self, google: &Clients) -> Result<Vec<String>> {
        let folder = utf8_percent_encode(&self.folder(), NON_ALPHANUMERIC).to_string();
        let path =
            format!("/storage/v1/b/{}/o?prefix={folder}&fields=items(name),nextPageToken", self.bucket);
        let found =
            google.rest.find(Request::get(Api::Storage, path, "looking for runtimes in the bucket")).await?;
        let found = found.unwrap_or_default();
        let items = found["items"].as_array().into_iter().flatten();
        Ok(items.filter_map(|item| item["name"].as_str()).map(ToOwned::to_owned).collect())
    }
}

#[async_trait]
impl Resource<Clients> for Archive {
    async fn plan(&self, google: &Clients) -> Result<Planned> {
        let object = self.object()?;
        let path = object_path(&self.bucket, &object);
        let found = google
            .rest
            .find(Request::get(Api::Storage, path, format!("looking for the object {object}")))
            .await?;
        let change = if found.is_some() { Change::None } else { Change::Create };
        let size = self.source.bytes()?.len() as u64;
        let about = format!("{} in the bucket", rustwren_core::config::units::format_size(size));
        Ok(Step::new(KIND, object, change).about(about).into())
    }

    async fn apply(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let object = self.object()?;
        let name = utf8_percent_encode(&object, NON_ALPHANUMERIC);
        let path = format!("/upload/storage/v1/b/{}/o?uploadType=media&name={name}", self.bucket);
        let url = google.rest.url(Api::Storage, &path);
        let bytes = self.source.bytes()?;
        let upload = || {
            let request = Request {
                method: Method::POST,
                ..Request::get(Api::Storage, path.clone(), format!("uploading the runtime to {object}"))
            };
            google.rest.upload(&url, request, "application/gzip", bytes.to_vec(), true)
        };
        patience.until_done(|_| None, upload).await?;
        Ok(())
    }

    async fn removal(&self, google: &Clients) -> Result<Removal> {
        let all = self.all(google).await?;
        let Some(first) = all.first() else { return Ok(Removal::Nothing) };
        let name = if all.len() == 1 { first.clone() } else { self.folder() };
        Ok(Removal::Ours(Step::new(KIND, name, Change::Delete)))
    }

    async fn remove(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        for object in self.all(google).await? {
            let path = object_path(&self.bucket, &object);
            let remove = || {
                google.rest.find(Request::delete(
                    Api::Storage,
                    path.clone(),
                    format!("removing the object {object}"),
                ))
            };
            patience.until_done(|_| None, remove).await?;
        }
        Ok(())
    }
}

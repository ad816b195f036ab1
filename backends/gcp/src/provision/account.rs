//! The service account that workers run as. It can do nothing until something is granted to it.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::resource::{Patience, Removal, Resource, SENTENCE};
use crate::rest::{Api, Google, Request};

const KIND: &str = "service account";

#[derive(Debug)]
pub(super) struct Account {
    pub(super) google: Arc<Google>,
    /// Before the `@`.
    pub(super) name: String,
}

impl Account {
    /// The address of an account of this project.
    pub(super) fn email(project: &str, name: &str) -> String {
        format!("{name}@{project}.iam.gserviceaccount.com")
    }

    fn address(&self) -> String {
        Self::email(self.google.project(), &self.name)
    }

    fn path(&self) -> String {
        format!("/v1/projects/{}/serviceAccounts/{}", self.google.project(), self.address())
    }

    async fn find(&self) -> Result<Option<Value>> {
        let request =
            Request::get(Api::Iam, self.path(), format!("looking for the service account {}", self.name));
        Ok(self.google.find(request).await?)
    }

    fn is_ours(found: &Value) -> bool {
        found["description"].as_str().is_some_and(|text| text.starts_with(SENTENCE))
    }
}

#[async_trait]
impl Resource for Account {
    async fn plan(&self) -> Result<Step> {
        let step = |change| Step::new(KIND, self.address(), change).about("workers run as it");
        match self.find().await? {
            None => Ok(step(Change::Create)),
            Some(found) if Self::is_ours(&found) => Ok(step(Change::None)),
            Some(_) => Err(Error::new(
                ErrorKind::Config,
                format!("the service account {} is there and was not made by setup", self.address()),
            )
            .with_hint("name it as `service_account` in [compute] to use it as it is, or give the service another name")),
        }
    }

    async fn apply(&self, _: &Step, patience: Patience<'_>) -> Result<()> {
        let path = format!("/v1/projects/{}/serviceAccounts", self.google.project());
        let body = json!({
            "accountId": self.name,
            "serviceAccount": { "displayName": "RustWren workers", "description": SENTENCE },
        });
        let attempt = format!("making the service account {}", self.name);
        let make =
            || self.google.call(Request::with(Method::POST, Api::Iam, path.clone(), &body, attempt.clone()));
        patience.until_done(|_| None, make).await?;
        Ok(())
    }

    async fn removal(&self) -> Result<Removal> {
        Ok(match self.find().await? {
            None => Removal::Nothing,
            Some(found) if Self::is_ours(&found) => {
                Removal::Ours(Step::new(KIND, self.address(), Change::Delete))
            }
            Some(_) => Removal::Stays(format!(
                "the service account {} was not made by setup, and stays",
                self.address()
            )),
        })
    }

    async fn remove(&self, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the service account {}", self.name);
        let remove = || self.google.find(Request::delete(Api::Iam, self.path(), attempt.clone()));
        patience.until_done(|_| None, remove).await?;
        Ok(())
    }
}

//! The service account that workers run as. It can do nothing until something is granted to it.

use async_trait::async_trait;
use google_cloud_iam_admin_v1::model::ServiceAccount;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::clients::{Clients, found};
use super::marks::SENTENCE;
use crate::rest::Api;

const KIND: &str = "service account";

#[derive(Debug)]
pub(super) struct Account {
    pub(super) project: String,
    /// Before the `@`.
    pub(super) name: String,
}

fn is_ours(found: &ServiceAccount) -> bool {
    found.description.starts_with(SENTENCE)
}

impl Account {
    /// The address of an account of this project.
    pub(super) fn email(project: &str, name: &str) -> String {
        format!("{name}@{project}.iam.gserviceaccount.com")
    }

    fn address(&self) -> String {
        Self::email(&self.project, &self.name)
    }

    /// As Google's API has it.
    fn full_name(&self) -> String {
        format!("projects/{}/serviceAccounts/{}", self.project, self.address())
    }

    async fn find(&self, google: &Clients) -> Result<Option<ServiceAccount>> {
        let attempt = format!("looking for the service account {}", self.name);
        let iam = google.iam(&attempt).await?;
        let get = || iam.get_service_account().set_name(self.full_name()).send();
        Ok(found(google.ask(Api::Iam, &attempt, get).await)?)
    }
}

#[async_trait]
impl Resource<Clients> for Account {
    async fn plan(&self, google: &Clients) -> Result<Planned> {
        let step = |change| Step::new(KIND, self.address(), change).about("workers run as it");
        match self.find(google).await? {
            None => Ok(step(Change::Create).into()),
            Some(found) if is_ours(&found) => Ok(step(Change::None).into()),
            Some(_) => Err(Error::new(
                ErrorKind::Config,
                format!("the service account {} is there and was not made by setup", self.address()),
            )
            .with_hint("name it as `service_account` in [compute] to use it as it is, or give the service another name")),
        }
    }

    async fn apply(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("making the service account {}", self.name);
        let iam = google.iam(&attempt).await?;
        let account = ServiceAccount::new().set_display_name("RustWren workers").set_description(SENTENCE);
        let make = || {
            let call = iam.create_service_account().set_name(format!("projects/{}", self.project));
            call.set_account_id(&self.name).set_service_account(account.clone()).send()
        };
        patience.until_done(|_| None, || google.ask(Api::Iam, &attempt, make)).await?;
        Ok(())
    }

    async fn removal(&self, google: &Clients) -> Result<Removal> {
        let address = self.address();
        Ok(match self.find(google).await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found) => Removal::Ours(Step::new(KIND, address, Change::Delete)),
            Some(_) => {
                Removal::Stays(format!("the service account {address} was not made by setup, and stays"))
            }
        })
    }

    async fn remove(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the service account {}", self.name);
        let iam = google.iam(&attempt).await?;
        let remove = || iam.delete_service_account().set_name(self.full_name()).send();
        found(patience.until_done(|_| None, || google.ask(Api::Iam, &attempt, remove)).await)?;
        Ok(())
    }
}

//! What is in the storage account: containers and queues.

use async_trait::async_trait;
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::group::gone;
use super::operation::change;
use super::place::{MARK, OURS, Place, is_ours, stays};
use super::refusal::Refusal;

/// A container or a queue.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) kind: &'static str,
    /// Where things of its kind are in an account.
    pub(super) folder: &'static str,
    pub(super) name: String,
    /// What it is for.
    pub(super) about: &'static str,
}

impl Child {
    pub(super) fn container(name: String, about: &'static str) -> Self {
        Self { kind: "container", folder: "blobServices/default/containers", name, about }
    }

    pub(super) fn queue(name: String, about: &'static str) -> Self {
        Self { kind: "queue", folder: "queueServices/default/queues", name, about }
    }

    fn path(&self, place: &Place) -> String {
        format!("{}/{}/{}", place.spec.account_id(), self.folder, self.name)
    }

    pub(super) async fn find(&self, place: &Place) -> Result<Option<Value>, Refusal> {
        let attempt = format!("looking for the {} {}", self.kind, self.name);
        place.arm.find(&Request::get(Api::Storage, self.path(place), attempt)).await
    }
}

#[async_trait]
impl Resource<Place> for Child {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let step = |change| Step::new(self.kind, &self.name, change);
        Ok(match self.find(place).await? {
            None => step(Change::Create).about(self.about),
            Some(found) if found["properties"]["metadata"][MARK] == OURS => {
                step(Change::None).about(self.about)
            }
            Some(_) => step(Change::None).about("not made by setup, used as it is"),
        }
        .into())
    }

    async fn apply(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let body = json!({ "properties": { "metadata": { MARK: OURS } } });
        let attempt = format!("making the {} {}", self.kind, self.name);
        let make = Request::put(Api::Storage, self.path(place), &body, attempt);
        change(&place.arm, &make, patience, |_| None).await?;
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let Some(found) = self.find(place).await? else { return Ok(Removal::Nothing) };
        if found["properties"]["metadata"][MARK] == OURS {
            let step = Step::new(self.kind, &self.name, Change::Delete);
            return Ok(Removal::Ours(step.about("with everything in it")));
        }
        let goes_with_account = place.account().await?.is_some_and(|account| is_ours(&account));
        Ok(if goes_with_account { Removal::Nothing } else { Removal::Stays(stays(self.kind, &self.name)) })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the {} {}", self.kind, self.name);
        let remove = Request::delete(Api::Storage, self.path(place), attempt);
        gone(change(&place.arm, &remove, patience, |_| None).await)
    }
}

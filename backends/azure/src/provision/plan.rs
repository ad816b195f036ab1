//! The plan of the function app: Flex Consumption, which costs nothing while nothing runs.

use async_trait::async_trait;
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::group::gone;
use super::operation::change;
use super::place::{MARK, OURS, Place, foreign, is_ours, stays};
use super::refusal::Refusal;

const KIND: &str = "plan";

#[derive(Debug)]
pub(super) struct Hosting;

async fn find(place: &Place) -> Result<Option<Value>, Refusal> {
    let attempt = format!("looking for the plan {}", place.spec.plan_name());
    place.arm.find(&Request::get(Api::Web, place.spec.plan_id(), attempt)).await
}

#[async_trait]
impl Resource<Place> for Hosting {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let name = place.spec.plan_name();
        let step = |change| Step::new(KIND, name.clone(), change).about("Flex Consumption");
        match find(place).await? {
            None => Ok(step(Change::Create).into()),
            Some(found) if is_ours(&found) => Ok(step(Change::None).into()),
            Some(_) => Err(foreign(KIND, &name, "app")),
        }
    }

    async fn apply(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let spec = &place.spec;
        let body = json!({
            "location": spec.region,
            "kind": "functionapp",
            "tags": { MARK: OURS },
            "sku": { "name": "FC1", "tier": "FlexConsumption" },
            // Linux.
            "properties": { "reserved": true },
        });
        let attempt = format!("making the plan {}", spec.plan_name());
        let make = Request::put(Api::Web, spec.plan_id(), &body, attempt);
        change(&place.arm, &make, patience, |_| None).await?;
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let name = place.spec.plan_name();
        Ok(match find(place).await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found) => Removal::Ours(Step::new(KIND, name, Change::Delete)),
            Some(_) => Removal::Stays(stays(KIND, &name)),
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the plan {}", place.spec.plan_name());
        let remove = Request::delete(Api::Web, place.spec.plan_id(), attempt);
        let last = |refusal: &Refusal| {
            let held = refusal.status == Some(409) && refusal.message.contains("web app");
            held.then_some("the plan still holds the app that was removed")
        };
        gone(change(&place.arm, &remove, patience, last).await)
    }
}

//! The component of Application Insights: what the host of functions sends lines of workers to.

use async_trait::async_trait;
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::group::gone;
use super::operation::change;
use super::place::{Field, MARK, OURS, Place, compare, is_ours, stays};
use super::spec::Spec;
use super::workspace::not_ours;

const KIND: &str = "Application Insights";
/// What setup is in charge of.
const FIELDS: &[Field] = &[
    ("log workspace", "/properties/WorkspaceResourceId"),
    ("share of lines that is kept", "/properties/SamplingPercentage"),
];
/// The app's setting that says where lines go. It names the component and lets nobody read; it is not shown all the same.
pub(super) const SETTING: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";

#[derive(Debug)]
pub(super) struct Component;

fn wanted(spec: &Spec) -> Value {
    json!({
        "location": spec.region,
        "kind": "web",
        "tags": { MARK: OURS },
        "properties": {
            "Application_Type": "web",
            "WorkspaceResourceId": spec.workspace_id(),
            "SamplingPercentage": 100,
        },
    })
}

/// What the app's setting is to be for this component, which Azure gives it when it is made.
pub(super) fn connection_string(component: &Value) -> Option<&str> {
    component["properties"]["ConnectionString"].as_str()
}

#[async_trait]
impl Resource<Place> for Component {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let spec = &place.spec;
        let name = spec.component_name();
        let step = |change| Step::new(KIND, name.clone(), change);
        let found = place.component().await?;
        if spec.logs.is_none() {
            return Ok(match found {
                Some(found) if is_ours(&found) => step(Change::Delete).about("`logs = false`"),
                _ => step(Change::None).about("none: `logs = false`"),
            }
            .into());
        }
        let about = format!("lines of workers, into {}", spec.workspace_name());
        let Some(found) = found else { return Ok(step(Change::Create).about(about).into()) };
        if !is_ours(&found) {
            return Err(not_ours(KIND, &name));
        }
        // All of them unless the component says otherwise.
        let mut is = found;
        if is["properties"]["SamplingPercentage"].is_null() {
            is["properties"]["SamplingPercentage"] = json!(100);
        }
        Ok(compare(step(Change::None).about(about), FIELDS, &is, &wanted(spec)).update_if_different().into())
    }

    async fn apply(&self, place: &Place, step: &Step, patience: Patience<'_>) -> Result<()> {
        if place.spec.logs.is_none() {
            return self.remove(place, step, patience).await;
        }
        let spec = &place.spec;
        let what = if step.change == Change::Create { "making" } else { "changing" };
        let attempt = format!("{what} the Application Insights component {}", spec.component_name());
        let body = wanted(spec);
        let request = Request::put(Api::Insights, spec.component_id(), &body, attempt);
        change(&place.arm, &request, patience, |_| None).await?;
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let name = place.spec.component_name();
        Ok(match place.component().await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found) => Removal::Ours(Step::new(KIND, name, Change::Delete)),
            Some(_) => Removal::Stays(stays(KIND, &name)),
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the Application Insights component {}", place.spec.component_name());
        let remove = Request::delete(Api::Insights, place.spec.component_id(), attempt);
        gone(change(&place.arm, &remove, patience, |_| None).await)
    }
}

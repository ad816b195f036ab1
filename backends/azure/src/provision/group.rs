//! The resource group: what holds everything else.

use async_trait::async_trait;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::operation::change;
use super::place::{MARK, OURS, Place, is_ours, stays};
use super::refusal::Refusal;

const KIND: &str = "resource group";
/// How many names are told of what is in the way.
const TOLD: usize = 3;

#[derive(Debug)]
pub(super) struct Group;

/// What is in the group: ids, and whether setup has made it. Without what Azure puts there by itself.
async fn contents(place: &Place) -> Result<Vec<(String, bool)>, Refusal> {
    let attempt = format!("looking into the resource group {}", place.spec.group);
    let path = format!("{}/resources", place.spec.group_id());
    let items = place.arm.list(&Request::get(Api::Resources, path, attempt)).await?;
    let id = |item: &Value| item["id"].as_str().unwrap_or_default().to_owned();
    let items = items.iter().map(|item| (id(item), is_ours(item)));
    Ok(items.filter(|(id, _)| !comes_with_component(place, id)).collect())
}

/// Whether Azure makes a thing of this id for each component of Application Insights, and leaves it behind: it goes with
/// the group.
fn comes_with_component(place: &Place, id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let of_component = format!("failure anomalies - {}", place.spec.component_name());
    id.ends_with("/actiongroups/application insights smart detection")
        || id.ends_with(&format!("/smartdetectoralertrules/{}", of_component.to_ascii_lowercase()))
}

/// The ends of ids, for people.
fn names(ids: &[String]) -> String {
    let names: Vec<&str> = ids.iter().take(TOLD).filter_map(|id| id.rsplit('/').next()).collect();
    let more = if ids.len() > TOLD { " and others" } else { "" };
    format!("{}{more}", names.join(", "))
}

#[async_trait]
impl Resource<Place> for Group {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let spec = &place.spec;
        let step = |change| Step::new(KIND, &spec.group, change);
        Ok(match place.group().await? {
            None => step(Change::Create).about(format!("in {}", spec.region)),
            Some(found) if is_ours(&found) => step(Change::None).about(format!("in {}", spec.region)),
            Some(_) => step(Change::None).about("not made by setup, used as it is"),
        }
        .into())
    }

    async fn apply(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let spec = &place.spec;
        let body = json!({ "location": spec.region, "tags": { MARK: OURS } });
        let attempt = format!("making the resource group {}", spec.group);
        let make = Request::put(Api::Resources, spec.group_path(), &body, attempt);
        change(&place.arm, &make, patience, |_| None).await?;
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let name = &place.spec.group;
        let Some(found) = place.group().await? else { return Ok(Removal::Nothing) };
        if !is_ours(&found) {
            return Ok(Removal::Stays(stays(KIND, name)));
        }
        let others: Vec<String> =
            contents(place).await?.into_iter().filter(|(_, ours)| !ours).map(|(id, _)| id).collect();
        Ok(if others.is_empty() {
            Removal::Ours(Step::new(KIND, name, Change::Delete).about("empty by then"))
        } else {
            let names = names(&others);
            Removal::Stays(format!("the {KIND} {name} stays: it holds {names}, which setup has not made"))
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let name = &place.spec.group;
        let mut pauses = patience.pauses.clone();
        loop {
            let left: Vec<String> = contents(place).await?.into_iter().map(|(id, _)| id).collect();
            if left.is_empty() {
                break;
            }
            // What was removed a moment ago may still be listed.
            let Some(pause) = pauses.next() else {
                let message = format!("the {KIND} {name} is not removed: it still holds {}", names(&left));
                return Err(Error::new(ErrorKind::Unavailable, message).with_hint(
                    "run `rustwren teardown` again later, or remove the group with all that is in it by `az group delete`",
                ));
            };
            patience.wait("the group still lists what was removed", pause).await;
        }
        let attempt = format!("removing the resource group {name}");
        let remove = Request::delete(Api::Resources, place.spec.group_path(), attempt);
        gone(change(&place.arm, &remove, patience, |_| None).await)
    }
}

/// What is not there any more is as good as removed.
pub(super) fn gone(removed: Result<Value, Refusal>) -> Result<()> {
    match removed {
        Err(refusal) if refusal.status != Some(404) => Err(refusal.into()),
        _ => Ok(()),
    }
}

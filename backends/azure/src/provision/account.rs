//! The storage account.

use async_trait::async_trait;
use azure_core::http::Method;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::group::gone;
use super::operation::change;
use super::place::{Field, MARK, OURS, Place, compare, is_ours, stays};

pub(super) const KIND: &str = "storage account";
/// What setup is in charge of.
const FIELDS: &[Field] = &[
    ("public blobs", "/properties/allowBlobPublicAccess"),
    ("least TLS", "/properties/minimumTlsVersion"),
    ("https only", "/properties/supportsHttpsTrafficOnly"),
];

#[derive(Debug)]
pub(super) struct Account;

fn wanted() -> Value {
    json!({ "properties": {
        "allowBlobPublicAccess": false,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": true,
    } })
}

/// Fails where the name is somebody else's, which only Azure as a whole knows.
async fn check_name(place: &Place) -> Result<()> {
    let spec = &place.spec;
    let path =
        format!("/subscriptions/{}/providers/Microsoft.Storage/checkNameAvailability", spec.subscription);
    let body = json!({ "name": spec.account, "type": "Microsoft.Storage/storageAccounts" });
    let attempt = format!("asking whether a storage account may be called {}", spec.account);
    let answer = place.arm.call(&Request::post(Api::Storage, path, attempt.clone()).with(&body)).await?.body;
    if answer["nameAvailable"] != false {
        return Ok(());
    }
    let why = answer["message"].as_str().unwrap_or("it may not");
    Err(Error::new(ErrorKind::Config, format!("{attempt}: {why}")).with_hint(
        "names are unique among all users of Azure: set another `account` in [storage]; or, where it is your own, \
         `resource_group` in [compute] to the group that it is in",
    ))
}

#[async_trait]
impl Resource<Place> for Account {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let spec = &place.spec;
        let step = Step::new(KIND, &spec.account, Change::None);
        let about = format!("in {}, locally redundant, no public blobs", spec.region);
        let Some(found) = place.account().await? else {
            check_name(place).await?;
            return Ok(Step { change: Change::Create, ..step }.about(about).into());
        };
        if found["properties"]["isHnsEnabled"] == true {
            let message = format!(
                "the {KIND} {} has a hierarchical namespace, in which jobs cannot keep their data",
                spec.account
            );
            return Err(
                Error::new(ErrorKind::Config, message).with_hint("set another `account` in [storage]")
            );
        }
        if !is_ours(&found) {
            return Ok(step.about("not made by setup, used as it is").into());
        }
        Ok(compare(step.about(about), FIELDS, &found, &wanted()).update_if_different().into())
    }

    async fn apply(&self, place: &Place, step: &Step, patience: Patience<'_>) -> Result<()> {
        let spec = &place.spec;
        let mut body = wanted();
        let (method, what) = if step.change == Change::Create {
            body["location"] = json!(spec.region);
            body["kind"] = json!("StorageV2");
            body["sku"] = json!({ "name": "Standard_LRS" });
            body["tags"] = json!({ MARK: OURS });
            (Method::Put, "making")
        } else {
            (Method::Patch, "changing")
        };
        let attempt = format!("{what} the storage account {}", spec.account);
        let request = Request { method, ..Request::put(Api::Storage, spec.account_id(), &body, attempt) };
        change(&place.arm, &request, patience, |_| None).await?;
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let name = &place.spec.account;
        Ok(match place.account().await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found) => Removal::Ours(
                Step::new(KIND, name, Change::Delete).about("with everything that is stored in it"),
            ),
            Some(_) => Removal::Stays(stays(KIND, name)),
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the storage account {}", place.spec.account);
        let remove = Request::delete(Api::Storage, place.spec.account_id(), attempt);
        gone(change(&place.arm, &remove, patience, |_| None).await)
    }
}

//! Who may do what with the storage account: assignments of roles. They take some minutes to spread.

use std::fmt::Write as _;

use async_trait::async_trait;
use ring::digest::{SHA256, digest};
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::group::gone;
use super::operation::change;
use super::place::Place;
use super::refusal::Refusal;

const KIND: &str = "access";

/// A role of Azure's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    name: &'static str,
    id: &'static str,
}

/// What the host of functions asks of its own storage account.
pub(super) const BLOB_OWNER: Role =
    Role { name: "Storage Blob Data Owner", id: "b7e6dc6d-f1e8-4753-8033-0f276bb0955b" };
pub(super) const BLOBS: Role =
    Role { name: "Storage Blob Data Contributor", id: "ba92f5b4-2d11-453d-a403-e96b0029c9fe" };
pub(super) const QUEUES: Role =
    Role { name: "Storage Queue Data Contributor", id: "974c5e8b-45b9-4653-ba55-5f855dd0fb88" };

/// Who is given a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// The app's identity.
    App,
    /// Somebody whom Entra knows by this object id.
    Object(String),
}

/// A role on the storage account.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) who: Who,
    pub(super) role: Role,
}

impl Grant {
    /// The object id, where it is known by now.
    async fn principal(&self, place: &Place) -> Result<Option<String>, Refusal> {
        Ok(match &self.who {
            Who::Object(id) => Some(id.clone()),
            Who::App => {
                let app = place.app().await?.unwrap_or_default();
                app["identity"]["principalId"].as_str().map(ToOwned::to_owned)
            }
        })
    }

    fn step(&self, place: &Place, change: Change) -> Step {
        let who = match &self.who {
            Who::App => &place.spec.app,
            Who::Object(id) => id,
        };
        Step::new(KIND, format!("{} for {who}", self.role.name), change)
            .about(format!("on the storage account {}", place.spec.account))
    }

    fn role_id(&self, place: &Place) -> String {
        let subscription = &place.spec.subscription;
        let id = self.role.id;
        format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{id}")
    }

    /// The id of the assignment, the same for the same person, role and account.
    fn assignment(&self, place: &Place, principal: &str) -> String {
        let scope = place.spec.account_id();
        format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", self.name(&scope, principal))
    }

    fn name(&self, scope: &str, principal: &str) -> String {
        let text = format!("{}\n{principal}\n{}", scope.to_lowercase(), self.role.id);
        let hash = digest(&SHA256, text.as_bytes());
        let mut name = String::new();
        for (index, byte) in hash.as_ref().iter().take(16).enumerate() {
            if [4, 6, 8, 10].contains(&index) {
                name.push('-');
            }
            // Version 8 of a UUID: made as the application says.
            let byte = match index {
                6 => byte & 0x0f | 0x80,
                8 => byte & 0x3f | 0x80,
                _ => *byte,
            };
            // Writing to a string does not fail.
            write!(name, "{byte:02x}").unwrap_or_default();
        }
        name
    }

    /// Assignments of the role to somebody that hold for the account.
    async fn found(&self, place: &Place, principal: &str) -> Result<Vec<Value>, Refusal> {
        let scope = place.spec.account_id();
        let path = format!(
            "{scope}/providers/Microsoft.Authorization/roleAssignments?$filter=principalId%20eq%20'{principal}'"
        );
        let attempt = format!("looking for {} of {principal}", self.role.name);
        let found = place.arm.list(&Request::get(Api::Authorization, path, attempt)).await?;
        let scope = scope.to_lowercase();
        let holds = |assignment: &&Value| {
            let properties = &assignment["properties"];
            let text = |name: &str| properties[name].as_str().unwrap_or_default().to_lowercase();
            // Those of single containers are listed as well.
            let above = format!("{}/", text("scope").trim_end_matches('/'));
            text("roleDefinitionId").ends_with(self.role.id)
                && text("principalId") == principal.to_lowercase()
                && format!("{scope}/").starts_with(&above)
        };
        Ok(found.into_iter().filter(|assignment| holds(&assignment)).collect())
    }
}

#[async_trait]
impl Resource<Place> for Grant {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let found = match self.principal(place).await? {
            Some(principal) => self.found(place, &principal).await?,
            None => Vec::new(),
        };
        Ok(self.step(place, if found.is_empty() { Change::Create } else { Change::None }).into())
    }

    async fn apply(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let principal = match self.principal(place).await? {
            Some(principal) => principal,
            None => return Err(super::place::missing("identity of the function app", &place.spec.app)),
        };
        let mut body = json!({ "properties": {
            "roleDefinitionId": self.role_id(place),
            "principalId": principal,
        } });
        if self.who == Who::App {
            // Said, since Azure may not find a new one where it would look for what it is.
            body["properties"]["principalType"] = json!("ServicePrincipal");
        }
        let attempt = format!("giving {} to {principal}", self.role.name);
        let make = Request::put(Api::Authorization, self.assignment(place, &principal), &body, attempt);
        let new = |refusal: &Refusal| {
            let is_new = self.who == Who::App && refusal.is(&["PrincipalNotFound"]);
            is_new.then_some("Entra does not know the app's new identity everywhere yet")
        };
        match change(&place.arm, &make, patience, new).await {
            // Under another name, by somebody else.
            Err(refusal) if !refusal.is(&["RoleAssignmentExists"]) => Err(refusal.into()),
            _ => Ok(()),
        }
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let Some(principal) = self.principal(place).await? else { return Ok(Removal::Nothing) };
        let name = self.name(&place.spec.account_id(), &principal);
        let found = self.found(place, &principal).await?;
        // Others have been made by others.
        Ok(if found.iter().any(|assignment| assignment["name"] == name) {
            Removal::Ours(self.step(place, Change::Delete))
        } else {
            Removal::Nothing
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let Some(principal) = self.principal(place).await? else { return Ok(()) };
        let attempt = format!("taking {} from {principal}", self.role.name);
        let remove = Request::delete(Api::Authorization, self.assignment(place, &principal), attempt);
        gone(change(&place.arm, &remove, patience, |_| None).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_has_the_same_name_each_time() {
        let name = |scope, principal| Grant { who: Who::App, role: QUEUES }.name(scope, principal);
        let first = name("/subscriptions/S", "p");
        assert_eq!(first, name("/subscriptions/s", "p"));
        assert_ne!(first, name("/subscriptions/s", "q"));
        let lengths: Vec<usize> = first.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{first}");
    }
}

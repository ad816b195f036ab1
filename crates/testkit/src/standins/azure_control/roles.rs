//! Assignments of roles.

use serde_json::{Value, json};

use super::state::{Call, State, not_found};
use super::{Answer, Answered, Refusal};

impl State {
    pub(super) fn assignments(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        let (scope, rest) = id.split_once("/providers/microsoft.authorization/").unwrap_or_default();
        if !self.things.contains_key(scope) {
            return Err(not_found(scope));
        }
        match call.method {
            "GET" => {
                let filter =
                    call.query.iter().find(|(name, _)| name == "$filter").map(|(_, value)| value.as_str());
                let principal =
                    filter.and_then(|text| text.strip_prefix("principalId eq '")?.strip_suffix('\''));
                let Some(principal) = principal else {
                    return Err(Refusal::new(400, "UnsupportedFilter", "only principalId is known here"));
                };
                // Those above, at and below the scope.
                let near = |other: &str| scope.starts_with(other) || other.starts_with(scope);
                let found = self.roles.values().filter(|role| {
                    let properties = &role["properties"];
                    properties["principalId"] == principal
                        && properties["scope"].as_str().is_some_and(|other| near(&other.to_lowercase()))
                });
                Ok(json!({ "value": found.collect::<Vec<_>>() }).into())
            }
            "PUT" => self.assign(call, scope, rest),
            _ => {
                let gone = self.roles.remove(&id);
                Ok(Answer {
                    status: if gone.is_some() { 200 } else { 204 },
                    ..gone.unwrap_or_default().into()
                })
            }
        }
    }

    fn assign(&mut self, call: &Call<'_>, scope: &str, rest: &str) -> Answered {
        let properties = &call.body["properties"];
        let lengths: Vec<usize> =
            rest.rsplit('/').next().unwrap_or_default().split('-').map(str::len).collect();
        if lengths != [8, 4, 4, 4, 12] {
            return Err(Refusal::new(
                400,
                "InvalidRoleAssignmentId",
                "The role assignment ID is not a GUID.",
            ));
        }
        let principal = properties["principalId"].as_str().unwrap_or_default();
        if self.identities_after > 0 {
            self.identities_after -= 1;
            let message =
                format!("Principal {} does not exist in the directory.", principal.replace('-', ""));
            return Err(Refusal::new(400, "PrincipalNotFound", &message));
        }
        let same = |role: &Value| {
            let other = &role["properties"];
            ["roleDefinitionId", "principalId"].iter().all(|name| other[name] == properties[name])
                && other["scope"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(scope))
        };
        let id = call.id();
        if self.roles.iter().any(|(other, role)| *other != id && same(role)) {
            return Err(Refusal::new(409, "RoleAssignmentExists", "The role assignment already exists."));
        }
        let mut role = call.body.clone();
        role["id"] = json!(call.path);
        role["name"] = json!(call.name());
        role["properties"]["scope"] = json!(scope);
        self.roles.insert(id, role.clone());
        Ok(Answer { status: 201, ..role.into() })
    }

    /// Whether a principal may write blobs of an account.
    pub(super) fn may_write(&self, principal: &Value, account: &str) -> bool {
        // Storage Blob Data Owner and Storage Blob Data Contributor.
        const WRITERS: [&str; 2] =
            ["b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"];
        self.roles.values().any(|role| {
            let properties = &role["properties"];
            let writes = properties["roleDefinitionId"]
                .as_str()
                .is_some_and(|id| WRITERS.iter().any(|one| id.ends_with(one)));
            let holds =
                properties["scope"].as_str().is_some_and(|scope| account.starts_with(&scope.to_lowercase()));
            properties["principalId"] == *principal && writes && holds
        })
    }
}

//! Storage accounts, and the containers and queues in them.

use serde_json::json;

use super::state::{Call, State, not_found};
use super::{Answer, Answered, Refusal};

impl State {
    pub(super) fn storage(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        let account = id.split('/').take(9).collect::<Vec<_>>().join("/");
        if id == account {
            return self.storage_account(call);
        }
        if !self.things.contains_key(&account) {
            return Err(not_found(&account));
        }
        match call.method {
            "GET" => self.things.get(&id).cloned().map(Answer::from).ok_or_else(|| not_found(call.path)),
            "PUT" => {
                let name = call.name();
                let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if !(3..=63).contains(&name.len()) || !plain || name.contains("--") {
                    return Err(Refusal::new(
                        400,
                        "ContainerOperationFailure",
                        "The specified resource name contains invalid characters.",
                    ));
                }
                let mut child = call.body.clone();
                child["id"] = json!(call.path);
                child["name"] = json!(name);
                self.things.insert(id, child.clone());
                Ok(Answer { status: 201, ..child.into() })
            }
            _ => {
                self.things.get(&id).ok_or_else(|| not_found(call.path))?;
                self.take_effect((id, None));
                Ok(json!(null).into())
            }
        }
    }

    fn storage_account(&mut self, call: &Call<'_>) -> Answered {
        let (id, name) = (call.id(), call.name());
        let found = self.things.get(&id).cloned();
        match call.method {
            "GET" => found.map(Answer::from).ok_or_else(|| not_found(call.path)),
            "DELETE" => {
                found.ok_or_else(|| not_found(call.path))?;
                self.take_effect((id, None));
                Ok(json!(null).into())
            }
            "PATCH" => {
                let mut account = found.ok_or_else(|| not_found(call.path))?;
                let changed = call.body["properties"].as_object().cloned().unwrap_or_default();
                for (name, value) in changed {
                    account["properties"][name] = value;
                }
                self.things.insert(id, account.clone());
                Ok(account.into())
            }
            _ => {
                let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                if !(3..=24).contains(&name.len()) || !plain {
                    let message = format!("{name} is not a valid storage account name.");
                    return Err(Refusal::new(400, "AccountNameInvalid", &message));
                }
                if found.is_none() && self.is_taken(name) {
                    let message = format!("The storage account named {name} is already taken.");
                    return Err(Refusal::new(409, "StorageAccountAlreadyTaken", &message));
                }
                let mut account = call.body.clone();
                account["id"] = json!(call.path);
                account["name"] = json!(name);
                account["type"] = json!("Microsoft.Storage/storageAccounts");
                account["properties"]["provisioningState"] = json!("Succeeded");
                Ok(self.begin_by_location((id, Some(account))))
            }
        }
    }
}

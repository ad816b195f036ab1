//! Log Analytics workspaces with the one table that is asked for, and components of Application Insights.

use serde_json::{Value, json};

use super::state::{Call, State, not_found};
use super::{Answer, Answered, Refusal};

fn bad_request(code: &str, message: &str) -> Refusal {
    Refusal::new(400, code, message)
}

/// The days that things are kept, within these.
fn check_days(days: &Value, least: u64) -> Result<(), Refusal> {
    match days.as_u64() {
        Some(days) if (least..=730).contains(&days) => Ok(()),
        _ if days.is_null() => Ok(()),
        _ => {
            let message = format!("'RetentionInDays' must be from {least} to 730 and is {days}.");
            Err(bad_request("InvalidParameter", &message))
        }
    }
}

fn check_workspace(properties: &Value) -> Result<(), Refusal> {
    check_days(&properties["retentionInDays"], 30)?;
    match properties["workspaceCapping"]["dailyQuotaGb"].as_f64() {
        Some(cap) if cap < 0.023 && (cap + 1.0).abs() > f64::EPSILON => {
            Err(bad_request("InvalidParameter", "'DailyQuotaGb' must be -1, or at least 0.023."))
        }
        _ => Ok(()),
    }
}

/// Puts fields into others of the same name, as a change does.
fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}

impl State {
    pub(super) fn workspaces(&mut self, call: &Call<'_>) -> Answered {
        let (id, name) = (call.id(), call.name());
        if let Some((workspace, _)) = id.split_once("/tables/") {
            self.things.get(workspace).ok_or_else(|| not_found(workspace))?;
            return self.table(call);
        }
        let found = self.things.get(&id).cloned();
        match call.method {
            "GET" => found.map(Answer::from).ok_or_else(|| not_found(call.path)),
            "DELETE" => {
                found.ok_or_else(|| not_found(call.path))?;
                let forced = call.query.iter().any(|(name, value)| name == "force" && value == "true");
                if !forced {
                    // Its name is kept for two weeks, which nothing here knows how to live with.
                    return Err(bad_request("NotSupported", "only removal for good is known here"));
                }
                Ok(self.begin_by_location((id, None)))
            }
            "PATCH" => {
                let mut workspace = found.ok_or_else(|| not_found(call.path))?;
                merge(&mut workspace, &call.body);
                check_workspace(&workspace["properties"])?;
                self.things.insert(id, workspace.clone());
                Ok(workspace.into())
            }
            _ => {
                let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if !(4..=63).contains(&name.len()) || !plain || name.starts_with('-') || name.ends_with('-') {
                    return Err(bad_request(
                        "InvalidResourceName",
                        &format!("{name} is no name of a workspace."),
                    ));
                }
                let mut workspace = call.body.clone();
                check_workspace(&workspace["properties"])?;
                let known = found.map(|found| found["properties"]["customerId"].clone());
                let new = json!(format!("cccccccc-0000-0000-0000-{:012}", self.next()));
                workspace["id"] = json!(call.path);
                workspace["name"] = json!(name);
                workspace["type"] = json!("Microsoft.OperationalInsights/workspaces");
                workspace["properties"]["customerId"] = known.unwrap_or(new);
                workspace["properties"]["provisioningState"] = json!("Succeeded");
                Ok(self.begin_by_operation((id, Some(workspace))))
            }
        }
    }

    /// Tables are there with their workspace.
    fn table(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        let mut table = self.things.get(&id).cloned().unwrap_or_else(|| {
            // Those of Application Insights keep things for 90 days, whatever their workspace does.
            json!({ "properties": { "retentionInDays": 90, "totalRetentionInDays": 90, "plan": "Analytics" } })
        });
        if call.method == "GET" {
            return Ok(table.into());
        }
        check_days(&call.body["properties"]["retentionInDays"], 4)?;
        merge(&mut table, &call.body);
        Ok(Answer { status: 202, ..self.begin_by_operation((id, Some(table))) })
    }

    pub(super) fn components(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        let found = self.things.get(&id).cloned();
        match call.method {
            "GET" => found.map(Answer::from).ok_or_else(|| not_found(call.path)),
            "DELETE" => {
                self.take_effect((id, None));
                Ok(Answer { status: if found.is_some() { 200 } else { 204 }, ..Value::Null.into() })
            }
            _ => {
                let mut component = call.body.clone();
                let workspace = component["properties"]["WorkspaceResourceId"].as_str().unwrap_or_default();
                if !self.things.contains_key(&workspace.to_lowercase()) {
                    return Err(not_found(workspace));
                }
                let known = found.map(|found| found["properties"]["ConnectionString"].clone());
                let number = self.next();
                let new = json!(format!(
                    "InstrumentationKey=eeeeeeee-0000-0000-0000-{number:012};IngestionEndpoint={}/;\
                     ApplicationId=ffffffff-0000-0000-0000-{number:012}",
                    self.address
                ));
                component["id"] = json!(call.path);
                component["name"] = json!(call.name());
                component["type"] = json!("Microsoft.Insights/components");
                component["properties"]["ConnectionString"] = known.unwrap_or(new);
                component["properties"]["provisioningState"] = json!("Succeeded");
                self.things.insert(id, component.clone());
                Ok(component.into())
            }
        }
    }
}

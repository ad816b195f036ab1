//! The Log Analytics workspace, in which lines of workers are kept.

use std::slice;

use async_trait::async_trait;
use azure_core::http::Method;
use rustwren_core::config::units::format_size;
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::group::gone;
use super::operation::change;
use super::place::{Field, MARK, OURS, Place, compare, foreign, is_ours, stays};
use super::refusal::Refusal;
use crate::config::LogsConfig;

pub(super) const KIND: &str = "log workspace";
/// What setup is in charge of.
const FIELDS: &[Field] = &[
    ("days that lines are kept", "/properties/retentionInDays"),
    ("GB that a day may bring", "/properties/workspaceCapping/dailyQuotaGb"),
];
/// Where Application Insights keeps lines, for as long as the table says and not the workspace.
const TABLE: &str = "AppTraces";
const TABLE_FIELD: Field = ("days that lines are kept", "/properties/retentionInDays");
/// A workspace keeps things for at least so many days.
const LEAST_DAYS: u64 = 30;

#[derive(Debug)]
pub(super) struct Workspace;

fn wanted(logs: LogsConfig) -> Value {
    // In units of a thousand million bytes, by which Azure charges.
    let cap = logs.cap.map_or(-1.0, |bytes| bytes as f64 / 1e9);
    json!({ "properties": {
        "sku": { "name": "PerGB2018" },
        "retentionInDays": logs.days.max(LEAST_DAYS),
        "workspaceCapping": { "dailyQuotaGb": cap },
    } })
}

fn wanted_table(logs: LogsConfig) -> Value {
    json!({ "properties": { "retentionInDays": logs.days, "totalRetentionInDays": logs.days } })
}

/// What is shown of it.
fn about(logs: LogsConfig) -> String {
    let cap =
        logs.cap.map_or_else(|| "no daily limit".to_owned(), |cap| format!("{} a day", format_size(cap)));
    format!("lines kept for {} days, {cap}; what comes in costs", logs.days)
}

fn table_path(place: &Place) -> String {
    format!("{}/tables/{TABLE}", place.spec.workspace_id())
}

/// The error for one that setup has not made.
pub(super) fn not_ours(kind: &str, name: &str) -> rustwren_core::error::Error {
    foreign(kind, name, "app").and_hint("or set `logs = false`, which makes none")
}

#[async_trait]
impl Resource<Place> for Workspace {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let name = place.spec.workspace_name();
        let step = |change| Step::new(KIND, name.clone(), change);
        let found = place.workspace().await?;
        let Some(logs) = place.spec.logs else {
            return Ok(match found {
                Some(found) if is_ours(&found) => {
                    step(Change::Delete).about("with its lines: `logs = false`")
                }
                _ => step(Change::None).about("none: `logs = false`"),
            }
            .into());
        };
        let Some(found) = found else { return Ok(step(Change::Create).about(about(logs)).into()) };
        if !is_ours(&found) {
            return Err(not_ours(KIND, &name));
        }
        let step = compare(step(Change::None).about(about(logs)), FIELDS, &found, &wanted(logs));
        let attempt = format!("looking for the table {TABLE} of the log workspace {name}");
        let table =
            place.arm.find(&Request::get(Api::OperationalInsights, table_path(place), attempt)).await?;
        let fields = slice::from_ref(&TABLE_FIELD);
        let step = match table {
            // Where the workspace's own days differ as well, that is one difference for people.
            _ if step.differences.iter().any(|difference| difference.what == TABLE_FIELD.0) => step,
            table => compare(step, fields, &table.unwrap_or_default(), &wanted_table(logs)),
        };
        Ok(step.update_if_different().into())
    }

    async fn apply(&self, place: &Place, step: &Step, patience: Patience<'_>) -> Result<()> {
        let Some(logs) = place.spec.logs else { return self.remove(place, step, patience).await };
        let spec = &place.spec;
        let name = spec.workspace_name();
        let mut body = wanted(logs);
        body["tags"] = json!({ MARK: OURS });
        let (method, what) = if step.change == Change::Create {
            body["location"] = json!(spec.region);
            (Method::Put, "making")
        } else {
            (Method::Patch, "changing")
        };
        let attempt = format!("{what} the log workspace {name}");
        let request =
            Request { method, ..Request::put(Api::OperationalInsights, spec.workspace_id(), &body, attempt) };
        change(&place.arm, &request, patience, |_| None).await?;
        let body = wanted_table(logs);
        let attempt = format!("setting how long the log workspace {name} keeps lines");
        let request = Request::put(Api::OperationalInsights, table_path(place), &body, attempt);
        let request = Request { method: Method::Patch, ..request };
        let young = |refusal: &Refusal| {
            (refusal.status == Some(404)).then_some("the log workspace has not got its tables yet")
        };
        change(&place.arm, &request, patience, young).await?;
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let name = place.spec.workspace_name();
        Ok(match place.workspace().await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found) => {
                Removal::Ours(Step::new(KIND, name, Change::Delete).about("with its lines"))
            }
            Some(_) => Removal::Stays(stays(KIND, &name)),
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the log workspace {}", place.spec.workspace_name());
        // Without this, Azure keeps it, and its name, for fourteen days.
        let path = format!("{}?force=true", place.spec.workspace_id());
        let remove = Request::delete(Api::OperationalInsights, path, attempt);
        gone(change(&place.arm, &remove, patience, |_| None).await)
    }
}

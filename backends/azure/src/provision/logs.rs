//! Lines of workers, as the Log Analytics workspace has them: what tasks and runtimes print, and what the host of functions
//! warns of.
//!
//! The API is that of <https://learn.microsoft.com/rest/api/logsquery/query/execute>. It knows no pages: each question takes
//! the first lines after a place, which is the time and the id of the last line of the one before.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::time::{OffsetDateTime, parse_rfc3339, to_rfc3339};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{LogPage, LogPages, LogRecord};
use serde_json::{Value, json};

use super::arm::{Api, Arm, Request};

/// How often is asked for new lines. Azure takes 200 such questions within 30 seconds from a person.
const PAUSE: Duration = Duration::from_secs(5);
/// How long lines may take until they can be read: some minutes, and not in order.
const LATE: Duration = Duration::from_mins(5);
/// How many lines are asked for at once. Azure gives no more than 500 000.
const PAGE: usize = 1000;

/// The lines of an app.
pub(super) struct Pages {
    /// The API, at its own address.
    pub(super) api: Arm,
    pub(super) app: String,
    /// The workspace, as the API knows it, and as people do.
    pub(super) workspace: String,
    pub(super) workspace_id: String,
}

impl Pages {
    /// The question for lines from then on, after this place. Names of apps have nothing in them that would have to be
    /// quoted; ids of lines come from Azure.
    fn question(&self, since: SystemTime, place: Option<&str>) -> String {
        let after = match place.and_then(|place| place.split_once(' ')) {
            None => format!("TimeGenerated >= datetime({})", to_rfc3339(&OffsetDateTime::from(since))),
            Some((time, id)) => {
                let id = json!(id);
                format!(
                    "TimeGenerated > datetime({time}) or (TimeGenerated == datetime({time}) and Id > {id})"
                )
            }
        };
        format!(
            "AppTraces | where AppRoleName =~ \"{}\" | project TimeGenerated, Id = _ItemId, AppRoleInstance, Message | where \
             {after} | sort by TimeGenerated asc, Id asc | take {PAGE}",
            self.app
        )
    }
}

/// The mend for somebody who may not read this workspace.
pub(super) fn permission(workspace_id: &str) -> String {
    format!(
        "whoever reads logs needs the role Log Analytics Reader: `az role assignment create --assignee WHO --role \"Log \
         Analytics Reader\" --scope {workspace_id}`; it may take minutes until it holds"
    )
}

#[async_trait]
impl LogPages for Pages {
    async fn page(&self, since: SystemTime, place: Option<String>) -> Result<LogPage> {
        let attempt = format!("reading the lines of the function app {}", self.app);
        let body = json!({ "query": self.question(since, place.as_deref()) });
        let path = format!("/v1/workspaces/{}/query", self.workspace);
        let request = Request::post(Api::Logs, path, attempt.clone()).with(&body);
        let answer = self.api.call(&request).await.map_err(|refusal| {
            let is_denied = refusal.status == Some(403);
            Error::from(refusal).with_optional_hint(is_denied.then(|| permission(&self.workspace_id)))
        })?;
        // A part of the lines looks like all of them.
        if let Some(error) = answer.body["error"]["message"].as_str() {
            let message = format!("{attempt}: the answer is not whole: {error}");
            return Err(Error::new(ErrorKind::Unavailable, message)
                .with_hint("ask again, for a shorter time (`--since 10m`)"));
        }
        let rows = answer.body["tables"][0]["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        let next = rows.last().filter(|_| rows.len() >= PAGE).map(|last| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{} {}", text(&last[0]), text(&last[1]))
        });
        Ok(LogPage { lines: rows.iter().map(line).collect(), next })
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn late(&self) -> Duration {
        LATE
    }
}

/// A row: when, its id, which instance, and what.
fn line(row: &Value) -> (String, LogRecord) {
    let text = |at: usize| row[at].as_str().unwrap_or_default();
    let record = LogRecord {
        time: parse_rfc3339(text(0)).ok().map(SystemTime::from),
        source: text(2).to_owned(),
        text: text(3).trim_end_matches(['\n', '\r']).to_owned(),
    };
    (text(1).to_owned(), record)
}

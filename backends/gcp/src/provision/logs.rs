//! Lines of the service's logs, as Cloud Logging gives them: what workers, tasks and Cloud Run itself have said.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use google_cloud_logging_v2::model::LogEntry;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{LogPage, LogPages, LogQuery, LogRecord, LogStream, tail};
use serde_json::Value;

use super::clients::Clients;
use super::spec::Spec;
use crate::rest::Api;

/// How often is asked for new lines. Cloud Logging takes 60 such calls a minute from a project.
const PAUSE: Duration = Duration::from_secs(3);
/// As many entries as Google gives at once.
const PAGE: i32 = 1000;
/// How much of an instance's id is shown: its end, by which those of one revision differ.
const ID: usize = 12;

/// The lines that a query wants.
pub(super) fn lines(google: &Arc<Clients>, spec: &Spec, query: LogQuery, clock: Arc<dyn Clock>) -> LogStream {
    let pages =
        Pages { google: Arc::clone(google), service: spec.service.clone(), region: spec.region.clone() };
    tail(pages, query, clock)
}

struct Pages {
    google: Arc<Clients>,
    service: String,
    region: String,
}

#[async_trait]
impl LogPages for Pages {
    async fn page(&self, since: SystemTime, place: Option<String>) -> Result<LogPage> {
        let project = self.google.project();
        let since = jiff::Timestamp::try_from(since).map_err(|error| {
            Error::new(ErrorKind::Config, "the time since when lines are wanted is no date")
                .with_source(error)
        })?;
        // A function is a service of Cloud Run, and logs as one.
        let filter = format!(
            "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"{}\" AND \
             resource.labels.location=\"{}\" AND timestamp>=\"{since}\"",
            self.service, self.region
        );
        let attempt = format!("reading the logs of the service {}", self.service);
        let logging = self.google.logging(&attempt).await?;
        let list = || {
            let call = logging.list_log_entries().set_resource_names([format!("projects/{project}")]);
            let call = call.set_filter(&filter).set_order_by("timestamp asc").set_page_size(PAGE);
            call.set_page_token(place.as_deref().unwrap_or_default()).send()
        };
        let page = self.google.ask(Api::Logging, &attempt, list).await.map_err(|refusal| {
            let mend = refusal.is_permission().then(|| {
                format!(
                    "whoever reads logs needs logging.logEntries.list: `gcloud projects add-iam-policy-binding {project} \
                     --member=user:WHO --role=roles/logging.viewer`"
                )
            });
            Error::from(refusal).with_optional_hint(mend)
        })?;
        let next = Some(page.next_page_token).filter(|token| !token.is_empty());
        Ok(LogPage { lines: page.entries.into_iter().filter_map(line).collect(), next })
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}

/// What an entry says, with its id. Those of requests say nothing that a person reads.
fn line(entry: LogEntry) -> Option<(String, LogRecord)> {
    let text = match (entry.text_payload(), entry.json_payload()) {
        (Some(text), _) => text.clone(),
        // Lines that are JSON come so; `message` is what Google shows of them.
        (_, Some(fields)) => match fields.get("message").and_then(Value::as_str) {
            Some(message) if fields.len() == 1 => message.to_owned(),
            _ => Value::Object((**fields).clone()).to_string(),
        },
        _ => return None,
    };
    let instance = entry.labels.get("instanceId").map_or("", String::as_str);
    let from = instance.char_indices().rev().nth(ID - 1).map_or(0, |(at, _)| at);
    let record = LogRecord {
        time: entry.timestamp.and_then(|time| SystemTime::try_from(time).ok()),
        source: instance[from..].to_owned(),
        text: text.trim_end_matches(['\n', '\r']).to_owned(),
    };
    Some((entry.insert_id, record))
}

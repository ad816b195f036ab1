//! Lines of the log group, as CloudWatch gives them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{LogPage, LogPages, LogQuery, LogRecord, LogStream, tail};

use super::call::call;

/// How often is asked for new lines. CloudWatch takes 25 such calls a second.
const PAUSE: Duration = Duration::from_secs(2);

/// The lines that a query wants.
pub(crate) fn lines(client: Client, group: String, query: LogQuery, clock: Arc<dyn Clock>) -> LogStream {
    tail(Pages { client, group }, query, clock)
}

struct Pages {
    client: Client,
    group: String,
}

#[async_trait]
impl LogPages for Pages {
    async fn page(&self, since: SystemTime, place: Option<String>) -> Result<LogPage> {
        let filter =
            self.client.filter_log_events().log_group_name(&self.group).start_time(milliseconds(since));
        let sent = filter.set_next_token(place).send();
        let page = call("logs:FilterLogEvents", format!("reading the log group {}", self.group), sent).await;
        let page = page.map_err(|refusal| {
            if refusal.is_missing() {
                let message = format!("the log group {} is not there", self.group);
                return Error::new(ErrorKind::Config, message).with_hint("run `rustwren setup`");
            }
            refusal.into()
        })?;
        let lines = page.events.unwrap_or_default().into_iter().map(line).collect();
        Ok(LogPage { lines, next: page.next_token })
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}

fn line(event: FilteredLogEvent) -> (String, LogRecord) {
    let written = u64::try_from(event.timestamp.unwrap_or_default()).ok();
    let text = event.message.unwrap_or_default();
    let record = LogRecord {
        time: written.map(|ms| UNIX_EPOCH + Duration::from_millis(ms)),
        source: event.log_stream_name.unwrap_or_default(),
        text: text.trim_end_matches(['\n', '\r']).to_owned(),
    };
    (event.event_id.unwrap_or_default(), record)
}

/// Since 1970, as CloudWatch counts.
fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

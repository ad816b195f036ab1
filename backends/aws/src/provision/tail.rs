//! Lines of the log group, as a stream.
//!
//! Which lines are wanted is decided here and not by CloudWatch, whose patterns split text at other places than people
//! do.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use futures_util::stream;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{LogQuery, LogRecord, LogStream};

use super::call::call;

/// How often is asked for new lines. CloudWatch takes 25 such calls a second.
const PAUSE: Duration = Duration::from_secs(2);

/// Lines come in late, and not in order: each look goes back as far as this before the newest line.
const LATE: i64 = 30_000;

/// The lines that a query wants.
pub(crate) fn lines(client: Client, group: String, query: LogQuery, clock: Arc<dyn Clock>) -> LogStream {
    let since = milliseconds(query.since);
    let tail = Tail {
        client,
        group,
        query,
        clock,
        since,
        newest: since,
        next: None,
        seen: HashSet::new(),
        ready: VecDeque::new(),
        ended: false,
    };
    Box::pin(stream::unfold(tail, |mut tail| async move {
        let line = tail.next().await?;
        tail.ended |= line.is_err();
        Some((line, tail))
    }))
}

struct Tail {
    client: Client,
    group: String,
    query: LogQuery,
    clock: Arc<dyn Clock>,
    /// From when the present look goes.
    since: i64,
    /// When the newest line so far was written.
    newest: i64,
    /// Where the present look goes on.
    next: Option<String>,
    /// Lines within [`LATE`] that were told, which later looks find again.
    seen: HashSet<(i64, String)>,
    ready: VecDeque<LogRecord>,
    ended: bool,
}

impl Tail {
    async fn next(&mut self) -> Option<Result<LogRecord>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.look().await {
                return Some(Err(error));
            }
        }
    }

    /// Reads a page.
    async fn look(&mut self) -> Result<()> {
        let filter = self.client.filter_log_events().log_group_name(&self.group).start_time(self.since);
        let sent = filter.set_next_token(self.next.take()).send();
        let page = call("logs:FilterLogEvents", format!("reading the log group {}", self.group), sent).await;
        let page = page.map_err(|refusal| {
            if refusal.is_missing() {
                let message = format!("the log group {} is not there", self.group);
                return Error::new(ErrorKind::Config, message).with_hint("run `rustwren setup`");
            }
            refusal.into()
        })?;
        for event in page.events.unwrap_or_default() {
            self.take(event);
        }
        self.next = page.next_token;
        if self.next.is_some() {
            return Ok(());
        }
        if !self.query.follow {
            self.ended = true;
            return Ok(());
        }
        self.since = self.since.max(self.newest.saturating_sub(LATE));
        let since = self.since;
        self.seen.retain(|(written, _)| *written >= since);
        if self.ready.is_empty() {
            self.clock.sleep(PAUSE).await;
        }
        Ok(())
    }

    fn take(&mut self, event: FilteredLogEvent) {
        let written = event.timestamp.unwrap_or_default();
        self.newest = self.newest.max(written);
        if self.query.follow && !self.seen.insert((written, event.event_id.unwrap_or_default())) {
            return;
        }
        let text = event.message.unwrap_or_default();
        let text = text.trim_end_matches(['\n', '\r']);
        if self.query.wants(text) {
            self.ready.push_back(LogRecord {
                time: u64::try_from(written).ok().map(|ms| UNIX_EPOCH + Duration::from_millis(ms)),
                source: event.log_stream_name.unwrap_or_default(),
                text: text.to_owned(),
            });
        }
    }
}

/// Since 1970, as CloudWatch counts.
fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

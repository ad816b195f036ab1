//! Lines of a provider's logs as a stream, over the pages that it answers with.
//!
//! Which lines are wanted is decided here and not by the provider, whose searches split text at other places than people
//! do.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::stream;

use super::{LogQuery, LogRecord, LogStream};
use crate::clock::Clock;
use crate::error::Result;

/// See [`LogPages::late`].
const LATE: Duration = Duration::from_secs(30);

/// Where lines of logs are read, page by page.
#[async_trait]
pub trait LogPages: Send + Sync + 'static {
    /// A page of the lines that were written since then: the first, or the one at this place, which the page before has
    /// named.
    async fn page(&self, since: SystemTime, place: Option<String>) -> Result<LogPage>;

    /// How often new lines may be asked for.
    fn pause(&self) -> Duration;

    /// How late lines may come in, and not in order: each look goes back as far as this before the newest line. 30
    /// seconds unless said otherwise.
    fn late(&self) -> Duration {
        LATE
    }
}

/// A part of what was written.
#[derive(Debug, Default)]
pub struct LogPage {
    /// Lines, each with what tells it from others that were written at the same time.
    pub lines: Vec<(String, LogRecord)>,
    /// Where the next page is; none after the last.
    pub next: Option<String>,
}

/// The lines that a query wants.
pub fn tail(pages: impl LogPages, query: LogQuery, clock: Arc<dyn Clock>) -> LogStream {
    let since = query.since;
    let tail = Tail {
        pages,
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

struct Tail<P> {
    pages: P,
    query: LogQuery,
    clock: Arc<dyn Clock>,
    /// From when the present look goes.
    since: SystemTime,
    /// When the newest line so far was written.
    newest: SystemTime,
    /// Where the present look goes on.
    next: Option<String>,
    /// Lines within [`LogPages::late`] that were told, which later looks find again.
    seen: HashSet<(SystemTime, String)>,
    ready: VecDeque<LogRecord>,
    ended: bool,
}

impl<P: LogPages> Tail<P> {
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
        let page = self.pages.page(self.since, self.next.take()).await?;
        for (id, line) in page.lines {
            self.take(id, line);
        }
        self.next = page.next;
        if self.next.is_some() {
            return Ok(());
        }
        if !self.query.follow {
            self.ended = true;
            return Ok(());
        }
        self.since = self.since.max(self.newest.checked_sub(self.pages.late()).unwrap_or(UNIX_EPOCH));
        let since = self.since;
        self.seen.retain(|(written, _)| *written >= since);
        if self.ready.is_empty() {
            self.clock.sleep(self.pages.pause()).await;
        }
        Ok(())
    }

    fn take(&mut self, id: String, line: LogRecord) {
        let written = line.time.unwrap_or(UNIX_EPOCH);
        self.newest = self.newest.max(written);
        if self.query.follow && !self.seen.insert((written, id)) {
            return;
        }
        if self.query.wants(&line.text) {
            self.ready.push_back(line);
        }
    }
}

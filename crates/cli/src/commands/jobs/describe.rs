//! A job in words, and as JSON.

use std::time::Duration;

use anstyle::Style;
use rustwren::__cli::durable::jobs::{JobInfo, JobKind, State};
use rustwren::__cli::durable::{Owner, Tally};
use serde::Serialize;

use crate::human;
use crate::output::{ACTIVE, DIM, ERROR, GOOD, WARNING};
use crate::table::printable;

/// A job's state in one word, and how it looks.
pub(super) fn state(state: &State) -> (&'static str, Style) {
    match state {
        State::Running => ("running", ACTIVE),
        State::Starting => ("starting", ACTIVE),
        State::Done => ("done", GOOD),
        State::Failed(_) => ("failed", ERROR),
        State::Cancelled => ("cancelled", WARNING),
        State::Abandoned => ("abandoned", WARNING),
        State::Remains => ("remains", DIM),
        State::Unreadable(_) => ("unreadable", ERROR),
    }
}

/// Why it is in its state, where that is known.
pub(super) fn reason(state: &State) -> Option<&str> {
    match state {
        State::Failed(why) | State::Unreadable(why) => Some(why),
        _ => None,
    }
}

/// A job's kind in one word.
pub(super) fn kind(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Connected => "connected",
        JobKind::Durable => "durable",
        JobKind::Detached => "detached",
        JobKind::Resume => "resumed",
    }
}

/// Whether somebody works on it or is about to.
pub(super) fn is_live(state: &State) -> bool {
    matches!(state, State::Running | State::Starting)
}

/// `job 6742f1a3-09c2f1-0 (render)`
pub(super) fn name(info: &JobInfo) -> String {
    match &info.label {
        Some(label) => format!("job {} ({})", info.id, printable(label)),
        None => format!("job {}", info.id),
    }
}

/// `4,213 of 10,000 done, 2 failed`
pub(super) fn progress(tally: Tally, total: Option<u64>) -> String {
    let mut text = human::count(tally.done);
    if let Some(total) = total {
        text = format!("{text} of {}", human::count(total));
    }
    text += " done";
    if tally.failed > 0 {
        text = format!("{text}, {} failed", human::count(tally.failed));
    }
    text
}

/// `3 min ago`; a dash where it is not known.
pub(super) fn ago(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ago", human::age(time)))
}

/// A job as `jobs list --json` and `jobs show --json` have it.
#[derive(Debug, Serialize)]
pub(super) struct JsonJob<'a> {
    id: &'a str,
    label: Option<&'a str>,
    kind: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    done: u64,
    failed: u64,
    total: Option<u64>,
    age_seconds: Option<u64>,
    /// Since anything was last written for it.
    idle_seconds: Option<u64>,
    driver: Option<JsonOwner<'a>>,
    /// Failed tasks that `rustwren repro` can run.
    reproducible: u64,
    objects: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct JsonOwner<'a> {
    host: &'a str,
    pid: u32,
    program: &'a str,
}

impl<'a> From<&'a Owner> for JsonOwner<'a> {
    fn from(owner: &'a Owner) -> Self {
        Self { host: &owner.host, pid: owner.pid, program: &owner.program }
    }
}

impl<'a> From<&'a JobInfo> for JsonJob<'a> {
    fn from(info: &'a JobInfo) -> Self {
        Self {
            id: info.id.as_str(),
            label: info.label.as_deref(),
            kind: kind(info.kind),
            state: state(&info.state).0,
            reason: reason(&info.state),
            done: info.tally.done,
            failed: info.tally.failed,
            total: info.total,
            age_seconds: info.age.map(|age| age.as_secs()),
            idle_seconds: info.idle.map(|idle| idle.as_secs()),
            driver: info.owner.as_ref().map(JsonOwner::from),
            reproducible: info.capsules,
            objects: info.objects,
            bytes: info.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let tally = |done, failed| Tally { done, failed };
        assert_eq!(progress(tally(4213, 2), Some(10_000)), "4,213 of 10,000 done, 2 failed");
        assert_eq!(progress(tally(0, 0), None), "0 done");
    }
}

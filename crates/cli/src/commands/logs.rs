//! `rustwren logs`

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use rustwren::provision::{LogQuery, LogRecord, SetupOptions};
use rustwren::{Error, ErrorKind};
use serde::Serialize;

use crate::args::{Cli, LogsArgs};
use crate::failure::Failure;
use crate::human;
use crate::output::{self, ACTIVE, DIM};
use crate::provider::Providers;
use crate::table::printable;

/// What `--json` prints for each line.
#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    source: &'a str,
    text: &'a str,
}

/// Prints the lines as they come.
pub(crate) fn run(cli: &Cli, args: &LogsArgs) -> Result<(), Failure> {
    let providers = Providers::open(cli, &SetupOptions::default())?;
    let compute = providers.config.compute();
    let workers = [compute.backend(), compute.wraps()];
    // Workers log where they run; what the storage's provider logs is no news of them.
    let Some(named) = providers.named.iter().find(|named| workers.contains(&Some(named.backend))) else {
        let name = compute.backend().unwrap_or_default();
        return Err(Error::new(
            ErrorKind::Config,
            format!("{name} keeps no logs that can be read from here"),
        )
        .with_hint("what tasks print is shown by the program that runs the job, and is in its errors")
        .into());
    };
    #[expect(clippy::disallowed_methods, reason = "a date for the provider")]
    let now = SystemTime::now();
    let mut query = LogQuery::since(now.checked_sub(args.since).unwrap_or(UNIX_EPOCH));
    query.filter.clone_from(&args.filter);
    query.follow = args.follow;
    providers.block_on(async {
        let mut lines = named.provisioner.logs(query).await?;
        let mut any = false;
        while let Some(record) = lines.try_next().await? {
            any = true;
            output::data(if args.json { json(&record)? } else { text(&record) }.as_bytes())?;
        }
        if !any && !args.json {
            output::note(&format!("{} has logged nothing of the kind", named.provisioner.target()));
        }
        Ok(())
    })
}

fn json(record: &LogRecord) -> Result<String, Error> {
    let time_ms = record
        .time
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|time| u64::try_from(time.as_millis()).ok());
    let line = Line { time_ms, source: &record.source, text: &record.text };
    let text = serde_json::to_string(&line).map_err(|error| {
        Error::new(ErrorKind::Internal, "a line cannot be written as JSON").with_source(error)
    })?;
    Ok(text + "\n")
}

fn text(record: &LogRecord) -> String {
    let time = record.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let time = time.map(|time| human::date(time.as_secs()) + "  ").unwrap_or_default();
    let source = match record.source.as_str() {
        "" => String::new(),
        source => format!("{ACTIVE}{}{ACTIVE:#}  ", printable(source)),
    };
    // Lines may hold tabs, and colours that a worker meant for a terminal; neither may move the cursor.
    let text: String = printable(&record.text.replace('\t', "    "));
    format!("{DIM}{time}{DIM:#}{source}{text}\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_for_people_and_one_for_scripts() {
        let record = LogRecord {
            time: Some(UNIX_EPOCH + Duration::from_millis(1_500)),
            source: "7f3a".to_owned(),
            text: "a\tb\u{1b}[2J".to_owned(),
        };
        let plain = anstream::adapter::strip_str(&text(&record)).to_string();
        assert_eq!(plain, "1970-01-01 00:00:01 UTC  7f3a  a    b\u{fffd}[2J\n");
        let line = json(&record).unwrap();
        assert_eq!(line, "{\"time_ms\":1500,\"source\":\"7f3a\",\"text\":\"a\\tb\\u001b[2J\"}\n");
        let bare = LogRecord { time: None, source: String::new(), text: "x".to_owned() };
        assert_eq!(anstream::adapter::strip_str(&text(&bare)).to_string(), "x\n");
    }
}

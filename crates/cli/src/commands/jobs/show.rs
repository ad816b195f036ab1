//! `rustwren jobs show`

use std::fmt::Write as _;

use futures_util::stream::{self, StreamExt as _};
use rustwren::__cli::durable::jobs::{self, JobDetails, JobKind, State};
use rustwren::__cli::durable::{Capsule, Manifest, Spent};
use rustwren::__cli::entry::Target;
use rustwren::__cli::error::Result as CoreResult;
use rustwren::OnError;
use serde::Serialize;

use super::describe::{self, JsonJob};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human;
use crate::output::{self, BOLD, DIM, ERROR};
use crate::place::Place;
use crate::table::printable;

/// Failed tasks that are read at once, and those that are told to people.
const READ_AT_ONCE: usize = 8;
const TOLD: usize = 10;

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    job: JsonJob<'a>,
    manifest: Option<&'a Manifest>,
    spent: Option<JsonSpent>,
    failures: Vec<JsonFailure<'a>>,
}

#[derive(Serialize)]
struct JsonSpent {
    invocations: u64,
    worker_seconds: f64,
    usd: f64,
}

#[derive(Serialize)]
struct JsonFailure<'a> {
    index: u64,
    attempts: Vec<JsonAttempt<'a>>,
    repro: String,
}

#[derive(Serialize)]
struct JsonAttempt<'a> {
    kind: String,
    message: &'a str,
    location: Option<&'a str>,
    log_tail: &'a str,
}

/// Prints everything that is known of a job.
pub(super) fn run(place: &Place, wanted: &str, json: bool) -> Result<Exit, Failure> {
    let id = place.job(wanted)?;
    let (details, capsules) = place.block_on(read(place, &id, if json { usize::MAX } else { TOLD }))?;
    if json {
        output::json(&Shown {
            job: JsonJob::from(&details.info),
            manifest: details.manifest.as_ref(),
            spent: spent(&details).map(|spent| JsonSpent {
                invocations: spent.invocations,
                worker_seconds: spent.worker_time.as_secs_f64(),
                usd: spent.micro_usd as f64 / 1e6,
            }),
            failures: capsules.iter().map(failure).collect(),
        })?;
    } else {
        output::data(page(place, &details, &capsules).as_bytes())?;
    }
    Ok(Exit::Ok)
}

async fn read(
    place: &Place,
    id: &rustwren::__cli::durable::JobId,
    most: usize,
) -> CoreResult<(JobDetails, Vec<Capsule>)> {
    let mut details = jobs::show(&place.store, id).await?;
    let failed: Vec<u64> = details.failed.iter().copied().take(most).collect();
    let mut capsules = Vec::new();
    let mut reads =
        stream::iter(failed).map(|index| Capsule::read(&place.store, id, index)).buffered(READ_AT_ONCE);
    while let Some(capsule) = reads.next().await {
        // One that cannot be read does not hide the rest; `repro` says what is the matter with it.
        capsules.extend(capsule.inspect_err(|error| output::warning(&error.to_string())).ok());
    }
    // Connected jobs have no manifest to take it from.
    if details.info.label.is_none() {
        details.info.label = capsules.first().map(|capsule| capsule.spec.label.clone());
    }
    Ok((details, capsules))
}

fn failure(capsule: &Capsule) -> JsonFailure<'_> {
    let attempts = capsule.error.attempts.iter().map(|attempt| JsonAttempt {
        kind: attempt.kind.to_string(),
        message: &attempt.message,
        location: attempt.location.as_deref(),
        log_tail: &attempt.log_tail,
    });
    JsonFailure { index: capsule.error.index, attempts: attempts.collect(), repro: repro(capsule) }
}

fn repro(capsule: &Capsule) -> String {
    format!("rustwren repro {} {}", capsule.spec.id, capsule.error.index)
}

fn spent(details: &JobDetails) -> Option<Spent> {
    details.info.spent
}

fn page(place: &Place, details: &JobDetails, capsules: &[Capsule]) -> String {
    let info = &details.info;
    let mut page = format!("{BOLD}{}{BOLD:#}\n", describe::name(info));
    let mut fact = |name: &str, text: String| {
        // Writing to a string does not fail.
        writeln!(page, "  {DIM}{name:<9}{DIM:#} {text}").unwrap_or_default();
    };
    let (state, style) = describe::state(&info.state);
    let mut standing = format!("{style}{state}{style:#}");
    if let Some(reason) = describe::reason(&info.state) {
        standing = format!("{standing}: {}", printable(reason));
    }
    fact("state", standing);
    if let Some(owner) = &info.owner {
        let silent = match (&info.state, info.idle) {
            (State::Running | State::Abandoned, Some(idle)) => {
                format!(", last heard of {} ago", human::age(idle))
            }
            _ => String::new(),
        };
        fact("driver", format!("{}{silent}", printable(&owner.to_string())));
    }
    fact("kind", explained(info.kind).to_owned());
    if let Some(age) = info.age {
        let date = details.manifest.as_ref().map(|manifest| human::date(manifest.created) + ", ");
        fact("made", format!("{}{} ago", date.unwrap_or_default(), human::age(age)));
    }
    if info.kind != JobKind::Connected {
        fact("progress", describe::progress(info.tally, info.total));
    }
    if let Some(manifest) = &details.manifest {
        for (name, text) in facts(manifest) {
            fact(name, text);
        }
    }
    if let Some(spent) = spent(details) {
        fact("spent", spent_in_words(&spent));
    }
    if let Some(stats) = details.end.as_ref().map(|end| end.stats) {
        fact(
            "took",
            format!(
                "{}, {}, {} of workers' time",
                human::duration(stats.elapsed),
                human::counted(stats.invocations, "invocation"),
                human::duration(stats.usage.compute),
            ),
        );
    }
    fact(
        "storage",
        format!(
            "{}, {} in {}",
            human::counted(info.objects, "object"),
            human::bytes(info.bytes),
            place.location()
        ),
    );
    failures(&mut page, details, capsules);
    if let Some(next) = next(details) {
        writeln!(page, "{DIM}{next}{DIM:#}").unwrap_or_default();
    }
    page
}

fn explained(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Connected => "connected: it ends with the program that started it",
        JobKind::Durable => "durable: driven by the program that started it, or by whoever attaches",
        JobKind::Detached => "detached: driven by a process of the provider's",
        JobKind::Resume => "resumed: the same program, started again, goes on with it",
    }
}

fn facts(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let function = match &manifest.function {
        Target::Named { name, call } => format!("{name} (#[remote], {call})"),
        Target::Offset { type_name, .. } => type_name.clone(),
    };
    let image: String = manifest.image.to_string().chars().take(12).collect();
    let mut facts = vec![
        ("function", printable(&function)),
        ("output", printable(&manifest.output)),
        (
            "program",
            format!(
                "{}, image {image}…, RustWren {}",
                printable(&manifest.program),
                printable(&manifest.rustwren)
            ),
        ),
        ("options", options(manifest)),
    ];
    if let Some(inputs) = &manifest.inputs {
        let shared = manifest
            .shared
            .as_ref()
            .map(|shared| format!(", and {} that all share", human::bytes(shared.len)))
            .unwrap_or_default();
        facts.push((
            "inputs",
            format!("{}, {}{shared}", human::counted(inputs.elements, "element"), human::bytes(inputs.bytes)),
        ));
    }
    facts
}

fn options(manifest: &Manifest) -> String {
    let options = &manifest.options;
    let mut words = Vec::new();
    if let Some(retries) = options.retries {
        words.push(match retries {
            0 => "no retries".to_owned(),
            1 => "1 retry".to_owned(),
            more => format!("{more} retries"),
        });
    }
    if let Some(limit) = options.task_timeout {
        words.push(format!("{} for each task", human::duration(limit)));
    }
    if let Some(size) = options.chunk_size {
        words.push(format!("chunks of {}", human::count(u64::from(size))));
    }
    if let Some(workers) = options.workers {
        words.push(format!("at most {}", human::counted(workers as u64, "worker")));
    }
    if options.concurrency > 1 {
        words.push(format!("{} tasks at once on a worker", human::count(u64::from(options.concurrency))));
    }
    words.push(
        match options.on_error {
            OnError::FailFast => "stops at the first failed task",
            OnError::Collect => "goes on after failed tasks",
        }
        .to_owned(),
    );
    words.join(", ")
}

fn spent_in_words(spent: &Spent) -> String {
    let mut text = human::counted(spent.invocations, "invocation");
    if !spent.worker_time.is_zero() {
        text = format!("{text}, {} of workers' time", human::duration(spent.worker_time));
    }
    if spent.micro_usd > 0 {
        text = format!("{text}, {}", human::dollars(spent.micro_usd as f64 / 1e6));
    }
    text
}

fn failures(page: &mut String, details: &JobDetails, capsules: &[Capsule]) {
    if capsules.is_empty() {
        return;
    }
    let mut line = |text: String| writeln!(page, "{text}").unwrap_or_default();
    line(format!("{BOLD}failed tasks{BOLD:#}"));
    for capsule in capsules {
        let what = capsule.error.last().map(ToString::to_string).unwrap_or_default();
        let what = printable(what.lines().next().unwrap_or_default());
        line(format!("  {ERROR}task {}{ERROR:#} {what}", capsule.error.index));
        line(format!("    {DIM}{}{DIM:#}", repro(capsule)));
    }
    if details.failed.len() > capsules.len() {
        let more = (details.failed.len() - capsules.len()) as u64;
        line(format!("  {DIM}and {} more: --json has them all{DIM:#}", human::count(more)));
    }
}

/// What can be done with it now.
fn next(details: &JobDetails) -> Option<String> {
    let id = &details.info.id;
    Some(match (&details.info.state, details.info.kind) {
        (State::Running | State::Starting, JobKind::Connected | JobKind::Resume) => return None,
        (State::Running | State::Starting, _) => {
            format!("rustwren jobs attach {id} watches it, rustwren jobs cancel {id} stops it")
        }
        (State::Abandoned, JobKind::Resume) => {
            "run its program again: it goes on where it stopped".to_owned()
        }
        (State::Abandoned, _) => format!("rustwren jobs attach {id} goes on with it"),
        _ => format!("rustwren jobs clean {id} deletes what it has in storage"),
    })
}

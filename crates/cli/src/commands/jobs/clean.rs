//! `rustwren jobs clean`

use futures_util::stream::{self, StreamExt as _};
use rustwren::__cli::durable::jobs::{self, Cleaned, JobInfo, Selection, State, Why};
use rustwren::__cli::durable::{JobId, Owner};
use rustwren::__cli::error::ErrorKind;
use serde::Serialize;

use super::describe;
use crate::args::CleanArgs;
use crate::ask;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human;
use crate::output::{self, WARNING};
use crate::place::Place;
use crate::table::{Align, Cell, Table};

/// Jobs removed at once.
const AT_ONCE: usize = 4;

#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    removed: Vec<JsonRemoved<'a>>,
    kept: Vec<JsonKept<'a>>,
    /// Of programs that no job needs any more.
    programs: Vec<String>,
}

#[derive(Serialize)]
struct JsonRemoved<'a> {
    id: &'a str,
    objects: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct JsonKept<'a> {
    id: &'a str,
    reason: String,
}

/// Says what will go, asks, and deletes it.
pub(super) fn run(place: &Place, args: &CleanArgs) -> Result<Exit, Failure> {
    let named = place.some_jobs(&args.ids)?;
    let jobs: Vec<JobInfo> = place
        .jobs()?
        .into_iter()
        .filter(|job| if named.is_empty() { is_selected(job, args) } else { named.contains(&job.id) })
        .filter(|job| is_old_enough(job, args))
        .collect();
    let (live, gone): (Vec<&JobInfo>, Vec<&JobInfo>) =
        jobs.iter().partition(|job| describe::is_live(&job.state));
    if !args.json {
        for job in &live {
            output::note(&format!("{WARNING}kept:{WARNING:#} {}", describe_live(job)));
        }
    }
    if gone.is_empty() && !args.all {
        if args.json {
            output::json(&report(args, &Cleaned::default(), &live))?;
        } else {
            output::note("there is nothing to delete");
        }
        return Ok(exit(&named, &live, &Cleaned::default()));
    }
    if !args.json && !gone.is_empty() {
        output::note(&listing(&gone));
    }
    if !args.dry_run && !args.yes && !confirmed(args, &gone)? {
        output::note("nothing was deleted");
        return Ok(Exit::Ok);
    }
    let ids: Vec<JobId> = gone.iter().map(|job| job.id.clone()).collect();
    let mut cleaned = place.block_on(remove(place, &ids, args.dry_run));
    if args.all && args.older_than.is_none() {
        let gone: Vec<JobId> = cleaned.removed.iter().map(|removed| removed.id.clone()).collect();
        cleaned.images = place.block_on(jobs::clean_images(&place.store, args.dry_run, &gone))?;
    }
    if args.json {
        output::json(&report(args, &cleaned, &live))?;
    } else {
        tell(args, &cleaned);
    }
    Ok(exit(&named, &live, &cleaned))
}

/// Of jobs that were not named.
fn is_selected(job: &JobInfo, args: &CleanArgs) -> bool {
    match job.state {
        // Running ones are told about, and kept.
        State::Done
        | State::Failed(_)
        | State::Cancelled
        | State::Remains
        | State::Running
        | State::Starting => true,
        // Somebody may still want to go on with them, or read them with a later version.
        State::Abandoned | State::Unreadable(_) => args.all,
    }
}

fn is_old_enough(job: &JobInfo, args: &CleanArgs) -> bool {
    match args.older_than {
        None => true,
        // What has no age is not known to be old.
        Some(age) => job.idle.or(job.age).is_some_and(|idle| idle >= age),
    }
}

fn describe_live(job: &JobInfo) -> String {
    let driver = match &job.owner {
        Some(owner) => format!(", driven by {owner}"),
        None => String::new(),
    };
    format!("{} is {}{driver}", describe::name(job), describe::state(&job.state).0)
}

fn listing(jobs: &[&JobInfo]) -> String {
    let mut table = Table::new([
        ("ID", Align::Left),
        ("LABEL", Align::Left),
        ("STATE", Align::Left),
        ("LAST SIGN", Align::Right),
        ("OBJECTS", Align::Right),
        ("SIZE", Align::Right),
    ]);
    for job in jobs {
        let (state, style) = describe::state(&job.state);
        table.row([
            Cell::new(job.id.as_str()),
            Cell::new(job.label.as_deref().unwrap_or("-")),
            Cell::styled(state, style),
            Cell::new(describe::ago(job.idle)),
            Cell::new(human::count(job.objects)),
            Cell::new(human::bytes(job.bytes)),
        ]);
    }
    table.render().trim_end().to_owned()
}

fn sum(jobs: u64, objects: u64, bytes: u64) -> String {
    format!("{}, {}, {}", human::counted(jobs, "job"), human::counted(objects, "object"), human::bytes(bytes))
}

/// Asks, with what is at stake.
fn confirmed(args: &CleanArgs, jobs: &[&JobInfo]) -> Result<bool, Failure> {
    let (objects, bytes) = jobs.iter().fold((0, 0), |(o, b), job| (o + job.objects, b + job.bytes));
    let mut what = sum(jobs.len() as u64, objects, bytes);
    if args.all {
        what += ", and programs that no job needs";
    }
    ask::confirmed(
        &format!("Delete {what}? Results in storage are deleted with them."),
        &format!("{what} would be deleted"),
        "--yes deletes them without asking, --dry-run only tells",
    )
}

/// Job by job: what becomes of one does not matter to the others.
async fn remove(place: &Place, ids: &[JobId], dry_run: bool) -> Cleaned {
    let by: &Owner = &Place::owner();
    let store = &place.store;
    let mut removals = stream::iter(ids.iter().cloned())
        .map(|id| async move {
            let selection = Selection::Ids(vec![id.clone()]);
            (id, jobs::clean(store, &selection, dry_run, by).await)
        })
        .buffered(AT_ONCE);
    let mut all = Cleaned::default();
    while let Some((id, cleaned)) = removals.next().await {
        match cleaned {
            Ok(one) => {
                all.removed.extend(one.removed);
                all.kept.extend(one.kept);
            }
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::Config => {}
            Err(error) => all.kept.push(jobs::Kept { id, why: Why::Failed(error.to_string()) }),
        }
    }
    all
}

fn why(why: &Why) -> String {
    match why {
        Why::Running(owner) => format!("it is running, driven by {owner}"),
        Why::Starting => "it is starting".to_owned(),
        Why::Failed(error) => error.clone(),
    }
}

fn tell(args: &CleanArgs, cleaned: &Cleaned) {
    for kept in &cleaned.kept {
        output::note(&format!("{WARNING}kept:{WARNING:#} job {}: {}", kept.id, why(&kept.why)));
    }
    let (objects, bytes) =
        cleaned.removed.iter().fold((0, 0), |(o, b), removed| (o + removed.objects, b + removed.bytes));
    let mut what = sum(cleaned.removed.len() as u64, objects, bytes);
    if !cleaned.images.is_empty() {
        what = format!("{what}, {}", human::counted(cleaned.images.len() as u64, "program"));
    }
    output::note(&format!("{} {what}", if args.dry_run { "would delete" } else { "deleted" }));
}

fn report<'a>(args: &CleanArgs, cleaned: &'a Cleaned, live: &[&'a JobInfo]) -> Report<'a> {
    let removed = cleaned.removed.iter().map(|removed| JsonRemoved {
        id: removed.id.as_str(),
        objects: removed.objects,
        bytes: removed.bytes,
    });
    let live = live.iter().map(|job| JsonKept { id: job.id.as_str(), reason: describe_live(job) });
    let kept = cleaned.kept.iter().map(|kept| JsonKept { id: kept.id.as_str(), reason: why(&kept.why) });
    Report {
        dry_run: args.dry_run,
        removed: removed.collect(),
        kept: live.chain(kept).collect(),
        programs: cleaned.images.iter().map(ToString::to_string).collect(),
    }
}

/// That a job stays is a failure if it was named.
fn exit(named: &[JobId], live: &[&JobInfo], cleaned: &Cleaned) -> Exit {
    if cleaned.kept.iter().any(|kept| matches!(kept.why, Why::Failed(_))) {
        Exit::Unavailable
    } else if !named.is_empty() && (!live.is_empty() || !cleaned.kept.is_empty()) {
        Exit::Task
    } else {
        Exit::Ok
    }
}

//! `rustwren jobs list`

use rustwren::__cli::durable::jobs::{JobInfo, JobKind, State};
use serde::Serialize;

use super::describe::{self, JsonJob};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human;
use crate::output::{self, DIM, ERROR};
use crate::place::Place;
use crate::table::{Align, Cell, Table};

#[derive(Serialize)]
struct Listed<'a> {
    jobs: Vec<JsonJob<'a>>,
}

/// Prints the jobs, newest first.
pub(super) fn run(place: &Place, json: bool, all: bool) -> Result<Exit, Failure> {
    let jobs = place.jobs()?;
    let (shown, hidden): (Vec<&JobInfo>, Vec<&JobInfo>) = jobs.iter().partition(|job| all || is_shown(job));
    if json {
        output::json(&Listed { jobs: shown.iter().map(|job| JsonJob::from(*job)).collect() })?;
        return Ok(Exit::Ok);
    }
    if shown.is_empty() {
        output::note(&format!("there are no jobs in {}", place.location()));
    } else {
        output::data(table(&shown).as_bytes())?;
    }
    if !hidden.is_empty() {
        let what = human::counted(hidden.len() as u64, "other");
        output::note(&format!("{DIM}{what} left something in storage: `rustwren jobs list --all`{DIM:#}"));
    }
    Ok(Exit::Ok)
}

/// Connected jobs are made to leave nothing; what they leave is for whoever looks for it.
fn is_shown(job: &JobInfo) -> bool {
    describe::is_live(&job.state)
        || matches!(job.state, State::Unreadable(_))
        || (job.kind != JobKind::Connected && job.state != State::Remains)
}

fn table(jobs: &[&JobInfo]) -> String {
    let mut table = Table::new([
        ("ID", Align::Left),
        ("LABEL", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("DONE", Align::Right),
        ("FAILED", Align::Right),
        ("TOTAL", Align::Right),
        ("AGE", Align::Right),
        ("LAST SIGN", Align::Right),
    ]);
    for job in jobs {
        let (state, style) = describe::state(&job.state);
        let failed = match job.tally.failed {
            0 => Cell::styled("0", DIM),
            failed => Cell::styled(human::count(failed), ERROR),
        };
        table.row([
            Cell::new(job.id.as_str()),
            Cell::new(job.label.as_deref().unwrap_or("-")),
            Cell::new(describe::kind(job.kind)),
            Cell::styled(state, style),
            Cell::new(human::count(job.tally.done)),
            failed,
            Cell::new(job.total.map_or_else(|| "-".to_owned(), human::count)),
            Cell::new(job.age.map_or_else(|| "-".to_owned(), human::age)),
            Cell::new(describe::ago(job.idle)),
        ]);
    }
    table.render()
}

//! `rustwren jobs attach`

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use rustwren::__cli::durable::jobs::{self, Follow, JobDetails, JobInfo, Standing, State};
use rustwren::__cli::durable::{Capsule, End, How, JobId, Life, Manifest, budget_set, set_budget, stopped};
use rustwren::__cli::error::{Error, ErrorKind, Result};
use rustwren::Budget;

use super::bar::Bar;
use super::describe;
use super::driver;
use crate::args::BudgetArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, BOLD, DIM, ERROR, GOOD, WARNING};
use crate::place::Place;
use crate::table::printable;

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A driver that was started must have given a sign of life within this time, or another one is started.
const START: Duration = Duration::from_mins(2);
/// So many drivers are started in a row that bring nothing.
const STARTS: u32 = 3;
/// Failed tasks that are named at the end.
const NAMED: usize = 5;

/// Watches a job until it ends.
pub(super) fn run(place: &Place, wanted: &str, budget: &BudgetArgs) -> std::result::Result<Exit, Failure> {
    let id = place.job(wanted)?;
    let details = place.block_on(jobs::show(&place.store, &id))?;
    if let State::Unreadable(why) = &details.info.state {
        let message = format!("{} cannot be read: {why}", describe::name(&details.info));
        return Err(Error::new(ErrorKind::Incompatible, message).into());
    }
    let Some(manifest) = &details.manifest else {
        let message = format!(
            "{} is known to the program that runs it, and to nobody else",
            describe::name(&details.info)
        );
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("`.durable()` or `.detach()` in the program makes jobs that can be attached to")
            .into());
    };
    place.block_on(set(place, manifest, budget))?;
    let watched = place.block_on(async {
        tokio::select! {
            // Listened to before anything is shown: from then on somebody may press it.
            biased;
            heard = tokio::signal::ctrl_c() => match heard {
                Ok(()) => Ok(None),
                Err(error) => {
                    Err(Error::new(ErrorKind::Internal, "Ctrl-C cannot be listened to").with_source(error))
                }
            },
            standing = watch(place, &details.info, manifest) => standing.map(Some),
        }
    })?;
    if let Some((standing, end)) = watched {
        return tell(place, &details, &standing, end);
    }
    let name = describe::name(&details.info);
    output::note(&format!("{name} goes on without this terminal: rustwren jobs attach {id}"));
    Ok(Exit::Interrupted)
}

/// Gives the job the budget that is asked for; its other limits stay.
async fn set(place: &Place, manifest: &Manifest, wanted: &BudgetArgs) -> Result<()> {
    let BudgetArgs { budget_usd, max_invocations, max_worker_time } = *wanted;
    if budget_usd.is_none() && max_invocations.is_none() && max_worker_time.is_none() {
        return Ok(());
    }
    let set = budget_set(&place.store, &manifest.id).await?;
    let old = set.unwrap_or(manifest.options.budget);
    let new = Budget {
        invocations: max_invocations.or(old.invocations),
        worker_time: max_worker_time.or(old.worker_time),
        cost: budget_usd.or(old.cost),
    };
    set_budget(&place.store, &manifest.id, &new).await
}

/// Looks on until the end, and sees to it that somebody drives the job.
async fn watch(place: &Place, info: &JobInfo, manifest: &Manifest) -> Result<(Standing, End)> {
    let label = info.label.as_deref().map_or_else(|| info.id.to_string(), printable);
    let mut bar = Bar::new(place.config.client().progress, &label, info.total);
    let mut follow = Follow::open(&place.store, &info.id).await?;
    let mut started: Option<(Instant, u64)> = None;
    let mut starts = 0;
    loop {
        let (standing, life) = follow.look().await?;
        if let Some(end) = standing.end.clone() {
            return Ok((standing.clone(), end));
        }
        let epoch = standing.driver.as_ref().map_or(0, |(_, epoch)| *epoch);
        if started.is_some_and(|(_, before)| epoch > before) {
            started = None;
        }
        let tally = standing.tally;
        let state = match &life {
            Life::Alive(beat) if beat.handed_over => "starting",
            Life::Alive(_) => "running",
            _ if started.is_some_and(|(at, _)| at.elapsed() < START) => "starting",
            Life::Dead(_) | Life::Absent => {
                if let Some(why) = stopped(&place.store, &info.id).await? {
                    return Err(stands(&info.id, &why));
                }
                if starts == STARTS {
                    return Err(gives_up(&info.id));
                }
                let who = match &life {
                    Life::Dead(beat) => {
                        format!("its driver, {}, is gone", printable(&beat.owner.to_string()))
                    }
                    _ => "nobody drives it".to_owned(),
                };
                bar.note(&format!("{DIM}{who}: starting another{DIM:#}"));
                driver::start(place, manifest).await?;
                starts += 1;
                started = Some((Instant::now(), epoch));
                "starting"
            }
        };
        bar.update(tally, state);
        place.store.clock().sleep(LOOK).await;
    }
}

fn stands(id: &JobId, why: &str) -> Error {
    Error::new(ErrorKind::Budget, why).with_hint(format!(
        "`rustwren jobs attach {id}` goes on with a larger one: `--budget-usd`, `--max-invocations`, \
         `--max-worker-time`"
    ))
}

fn gives_up(id: &JobId) -> Error {
    let message = format!("{STARTS} drivers were started for job {id}, and it has not ended");
    Error::new(ErrorKind::Unavailable, message).with_hint(format!(
        "`rustwren jobs show {id}` tells how far it has come; what is in storage stays there"
    ))
}

/// Says how it ended. The exit code is the job's.
fn tell(
    place: &Place,
    details: &JobDetails,
    standing: &Standing,
    end: End,
) -> std::result::Result<Exit, Failure> {
    let name = describe::name(&details.info);
    let progress = describe::progress(standing.tally, details.info.total);
    match end.how {
        How::Done => {
            let style = if standing.tally.failed == 0 { GOOD } else { WARNING };
            output::note(&format!("{BOLD}{name}{BOLD:#} has {style}ended{style:#}: {progress}"));
            if standing.tally.failed == 0 {
                return Ok(Exit::Ok);
            }
            name_failed(place, &details.info.id)?;
            Ok(Exit::Task)
        }
        How::Cancelled => {
            output::note(&format!(
                "{BOLD}{name}{BOLD:#} was {WARNING}cancelled{WARNING:#}: {progress}, results are kept"
            ));
            Ok(Exit::Interrupted)
        }
        How::Failed(failure) => {
            output::note(&format!(
                "{BOLD}{name}{BOLD:#} has {ERROR}failed{ERROR:#}: {progress}, results are kept"
            ));
            Err(Error::from(failure).into())
        }
    }
}

fn name_failed(place: &Place, id: &JobId) -> Result<()> {
    place.block_on(async {
        let failed = Capsule::list(&place.store, id).await?;
        let mut reads = stream::iter(failed.iter().take(NAMED))
            .map(|index| Capsule::read(&place.store, id, *index))
            .buffered(NAMED);
        while let Some(capsule) = reads.next().await {
            let capsule = capsule?;
            let what = capsule.error.last().map(ToString::to_string).unwrap_or_default();
            let what = printable(what.lines().next().unwrap_or_default());
            let index = capsule.error.index;
            output::note(&format!("  {ERROR}task {index}{ERROR:#} {what}"));
            output::note(&format!("    {DIM}rustwren repro {id} {index}{DIM:#}"));
        }
        if failed.len() > NAMED {
            output::note(&format!("  {DIM}rustwren jobs show {id} tells more{DIM:#}"));
        }
        Ok(())
    })
}

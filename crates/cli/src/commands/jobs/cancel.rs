//! `rustwren jobs cancel`

use std::sync::Arc;
use std::time::Duration;

use rustwren::__cli::durable::jobs::{self, JobInfo, JobKind, State};
use rustwren::__cli::durable::{Commit, End, Heart, How, JobId, Journal, Taken, request_cancel, take_lead};
use rustwren::__cli::error::{Error, ErrorKind, Result};

use super::describe;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;

/// How often a job is looked at that is to end, at first and later.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LATER_LOOKS: Duration = Duration::from_secs(2);

/// Cancels the jobs, and waits for their ends unless told not to.
pub(super) fn run(place: &Place, wanted: &[String], no_wait: bool) -> std::result::Result<Exit, Failure> {
    let ids = place.some_jobs(wanted)?;
    // All are asked before any is waited for.
    let mut asked = Vec::new();
    for id in &ids {
        if place.block_on(ask(place, id))? {
            asked.push(id);
        }
    }
    for id in asked {
        if no_wait {
            output::note(&format!("asked job {id} to stop"));
        } else {
            let info = place.block_on(wait(place, id))?;
            output::note(&outcome(&info));
        }
    }
    Ok(Exit::Ok)
}

/// Asks for a job's end. Whether there is one to wait for.
async fn ask(place: &Place, id: &JobId) -> Result<bool> {
    let info = jobs::show(&place.store, id).await?.info;
    match (&info.state, info.kind) {
        (State::Done | State::Failed(_) | State::Cancelled | State::Remains, _) => {
            output::note(&format!(
                "{} has ended already: {}",
                describe::name(&info),
                describe::state(&info.state).0
            ));
            Ok(false)
        }
        (State::Unreadable(why), _) => Err(Error::new(
            ErrorKind::Incompatible,
            format!("{} cannot be read: {why}", describe::name(&info)),
        )),
        (_, JobKind::Connected) => {
            let owner = info.owner.as_ref().map(|owner| format!(", {owner}")).unwrap_or_default();
            let message = format!("{} ends with the program that runs it{owner}", describe::name(&info));
            Err(Error::new(ErrorKind::Config, message).with_hint("press Ctrl-C there, or end that process"))
        }
        (State::Abandoned, _) => Ok(true),
        (State::Running | State::Starting, _) => {
            request_cancel(&place.store, id).await?;
            Ok(true)
        }
    }
}

/// Waits until a job has ended. One that nobody drives is ended here.
async fn wait(place: &Place, id: &JobId) -> Result<JobInfo> {
    let mut pause = FIRST_LOOK;
    loop {
        let info = jobs::show(&place.store, id).await?.info;
        match info.state {
            State::Running | State::Starting => {}
            State::Abandoned => end(place, id).await?,
            _ => return Ok(info),
        }
        place.store.clock().sleep(pause).await;
        pause = (pause * 2).min(LATER_LOOKS);
    }
}

/// Ends a job that nobody drives, by driving it no further.
async fn end(place: &Place, id: &JobId) -> Result<()> {
    let heart = Heart::start(&place.store, id, Place::owner(), place.lease(), None).await?;
    let beating = async {
        loop {
            // What there is to tell, the journal tells as well.
            heart.next_sign().await;
        }
    };
    let ended = tokio::select! {
        ended = lead_to_end(place, id, &heart) => ended,
        never = beating => never,
    };
    match ended {
        // The signs of life are the other driver's business.
        Ok(Ended::NotByUs { open: true }) => heart.leave().await,
        Ok(Ended::ByUs) => {}
        Ok(Ended::NotByUs { open: false }) | Err(_) => heart.stop().await?,
    }
    ended.map(|_| ())
}

enum Ended {
    ByUs,
    /// Somebody was faster, and drives it, or has ended it.
    NotByUs {
        open: bool,
    },
}

async fn lead_to_end(place: &Place, id: &JobId, heart: &Arc<Heart>) -> Result<Ended> {
    let mut journal = Journal::open(&place.store, id.clone());
    journal.read_all(|_| Ok(())).await?;
    if journal.view().end.is_some() {
        return Ok(Ended::NotByUs { open: false });
    }
    let mut leadership = match take_lead(journal, Arc::clone(heart), |_| Ok(())).await? {
        Taken::Leading(leadership) => leadership,
        Taken::Other(journal) => return Ok(Ended::NotByUs { open: journal.view().end.is_none() }),
    };
    loop {
        let tally = leadership.journal().view().tally;
        let end = End { how: How::Cancelled, stats: <_>::default(), tally };
        match leadership.end(end).await? {
            Commit::Written(_) => return Ok(Ended::ByUs),
            // Results of an earlier driver that were on their way: they count.
            Commit::Lost(_) => {}
            Commit::Deposed(_) => return Ok(Ended::NotByUs { open: true }),
        }
    }
}

fn outcome(info: &JobInfo) -> String {
    let kept = describe::progress(info.tally, info.total);
    match &info.state {
        State::Cancelled => format!("{} is cancelled: {kept}, results are kept", describe::name(info)),
        other => {
            format!("{} had ended before it was asked: {}", describe::name(info), describe::state(other).0)
        }
    }
}

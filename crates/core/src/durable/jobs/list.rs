//! How jobs stand.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::stored::{Stored, listed, may_live, storage_now};
use crate::durable::beat::Beat;
use crate::durable::capsule::Capsule;
use crate::durable::entry::{End, Entry, How, Spent, Tally};
use crate::durable::id::{JOBS, JobId};
use crate::durable::manifest::{Kind, Manifest, unix_now};
use crate::durable::owner::Owner;
use crate::durable::store::{Store, absent_as_none};
use crate::error::{Error, ErrorKind, Result};

/// Jobs looked at at once.
const LOOKS: usize = 16;
/// A driver that has been silent for more leases than this is shown as gone.
const LEASES: u32 = 2;

/// Of the last entry of a journal so many bytes are read, unless they do not suffice.
const PEEK: u64 = 64 << 10;

/// One job, in short.
#[derive(Debug, Clone, PartialEq)]
pub struct JobInfo {
    /// Its name.
    pub id: JobId,
    /// Who drives it.
    pub kind: JobKind,
    /// The user's name for it, where it has a manifest.
    pub label: Option<String>,
    /// How it stands.
    pub state: State,
    /// Elements with an outcome.
    pub tally: Tally,
    /// All elements, where that is known.
    pub total: Option<u64>,
    /// What it has used so far, where its journal's last entry tells.
    pub spent: Option<Spent>,
    /// How many failed elements can be run again with `rustwren repro`.
    pub capsules: u64,
    /// How long ago it was made, where that is known.
    pub age: Option<Duration>,
    /// How long ago anything was last written for it, where the storage tells.
    pub idle: Option<Duration>,
    /// Who last gave a sign of life.
    pub owner: Option<Owner>,
    /// Objects in storage.
    pub objects: u64,
    /// Bytes in storage.
    pub bytes: u64,
}

/// Who drives a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// The program that started it, without a journal: nothing can be attached to.
    Connected,
    /// See [`Kind::Durable`].
    Durable,
    /// See [`Kind::Detached`].
    Detached,
    /// See [`Kind::Resume`].
    Resume,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Somebody works on it.
    Running,
    /// Its driver has been asked for, and has not begun yet.
    Starting,
    /// It ran through.
    Done,
    /// It was given up, for this reason.
    Failed(String),
    /// It was cancelled.
    Cancelled,
    /// It is not finished, and nobody works on it: whoever attaches goes on with it.
    Abandoned,
    /// Remains of a job of which nothing can be used any more: of a dead connected one, or half removed.
    Remains,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// One job, at length.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDetails {
    /// In short.
    pub info: JobInfo,
    /// What it is, unless it is a connected job.
    pub manifest: Option<Manifest>,
    /// How it ended, if it has.
    pub end: Option<End>,
    /// The failed elements that can be run again.
    pub failed: Vec<u64>,
}

/// All jobs that have anything in storage, oldest first.
pub async fn list(store: &Store) -> Result<Vec<JobInfo>> {
    // Before the signs of life, which it would make look older than they are.
    let now = storage_now(store).await?;
    let (jobs, _) = listed(store, JOBS).await?;
    let looks = jobs
        .into_iter()
        .map(|(id, stored)| async move { look(store, &id, &stored, now).await.map(|(info, ..)| info) });
    let mut infos: Vec<JobInfo> = iter(looks).buffered(LOOKS).try_collect().await?;
    infos.sort_by_key(|info| Reverse(info.age));
    Ok(infos)
}

/// One job. That there is none of this name is an error of kind [`Config`](ErrorKind::Config).
pub async fn show(store: &Store, id: &JobId) -> Result<JobDetails> {
    let now = storage_now(store).await?;
    let stored = Stored::of(store, id).await?;
    if stored.objects == 0 {
        return Err(no_job(store, id));
    }
    let (info, manifest, end) = look(store, id, &stored, now).await?;
    Ok(JobDetails { info, manifest, end, failed: Capsule::list(store, id).await? })
}

pub(super) fn no_job(store: &Store, id: &JobId) -> Error {
    let message = format!("there is nothing of a job {id} in {}", store.storage().location());
    Error::new(ErrorKind::Config, message).with_hint("`rustwren jobs list` shows the jobs that are there")
}

type Look = (JobInfo, Option<Manifest>, Option<End>);

async fn look(store: &Store, id: &JobId, stored: &Stored, now: Option<SystemTime>) -> Result<Look> {
    let since = |then: SystemTime| now.map(|now| now.duration_since(then).unwrap_or_default());
    let mut info = JobInfo {
        id: id.clone(),
        kind: JobKind::Connected,
        label: None,
        state: State::Remains,
        tally: Tally::default(),
        total: None,
        spent: None,
        capsules: stored.capsules,
        age: stored.modified.and_then(since),
        idle: stored.modified.and_then(since),
        owner: None,
        objects: stored.objects,
        bytes: stored.bytes,
    };
    // One job that cannot be read does not hide the others.
    let read = read(store, id, stored).await;
    let (manifest, beat, last) = match read {
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Incompatible) => {
            info.state = State::Unreadable(error.message());
            return Ok((info, None, None));
        }
        Err(error) => return Err(error),
    };
    let alive = beat.as_ref().is_some_and(|beat| may_live(beat, stored.beaten, now, LEASES).unwrap_or(true));
    let waiting = beat.as_ref().is_some_and(|beat| beat.handed_over);
    info.owner = beat.map(|beat| beat.owner);
    let mut end = None;
    info.state = match &last {
        Some(Entry::Clean(_)) => State::Remains,
        _ if alive && waiting => State::Starting,
        _ if alive => State::Running,
        Some(Entry::End(found)) => {
            end = Some(found.clone());
            match &found.how {
                How::Done => State::Done,
                How::Cancelled => State::Cancelled,
                How::Failed(failure) => State::Failed(failure.message.clone()),
            }
        }
        _ if manifest.is_some() => State::Abandoned,
        None if stored.capsules > 0 => State::Failed("see its failed elements".to_owned()),
        _ => State::Remains,
    };
    info.tally = match &last {
        Some(Entry::Results(results)) => results.tally,
        Some(Entry::Lead(lead)) => lead.tally,
        Some(Entry::End(end)) => end.tally,
        // A connected job writes nothing of its progress; of its failures it leaves these.
        _ if manifest.is_none() => Tally { done: 0, failed: stored.capsules },
        _ => Tally::default(),
    };
    info.spent = match &last {
        Some(Entry::Results(results)) => Some(results.spent),
        Some(Entry::End(end)) => Some(end.stats.spent()),
        _ => None,
    };
    if let Some(manifest) = &manifest {
        info.kind = match manifest.kind {
            Kind::Durable => JobKind::Durable,
            Kind::Detached => JobKind::Detached,
            Kind::Resume => JobKind::Resume,
        };
        info.label = Some(manifest.label.clone());
        info.total = manifest.inputs.as_ref().map(|inputs| inputs.elements);
        info.age = Some(Duration::from_secs(unix_now().saturating_sub(manifest.created)));
    }
    Ok((info, manifest, end))
}

async fn read(
    store: &Store,
    id: &JobId,
    stored: &Stored,
) -> Result<(Option<Manifest>, Option<Beat>, Option<Entry>)> {
    let manifest = if stored.manifest { Manifest::read_opt(store, id).await? } else { None };
    let beat = if stored.beat { Beat::read(store, id).await? } else { None };
    let last = match stored.last {
        Some((seq, _)) => last_entry(store, id, seq).await?,
        None => None,
    };
    Ok((manifest, beat, last))
}

/// An entry, without its results if they are many.
pub(super) async fn last_entry(store: &Store, id: &JobId, seq: u64) -> Result<Option<Entry>> {
    let key = id.log_key(seq)?;
    let Some(start) = absent_as_none(store.get_range(&key, 0..PEEK).await)? else {
        return Ok(None);
    };
    if start.len() as u64 == PEEK
        && let Some(entry) = Entry::peek(&start)
    {
        return Ok(Some(entry));
    }
    store.get_opt(&key).await?.map(|bytes| Entry::decode(&bytes, id, &key)).transpose()
}

//! Taking jobs away.

use std::time::{Duration, SystemTime};

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::super::beat::Beat;
use super::super::entry::{Clean, Entry};
use super::super::id::{JOBS, JobId};
use super::super::journal::seq_of;
use super::super::owner::Owner;
use super::super::store::{Created, Store};
use super::list::no_job;
use super::stored::{PROBES, Stored, holds, listed, may_live, storage_now};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageId;
use crate::storage::{Key, ObjectMeta};

/// Deletions at once.
const DELETES: usize = 16;
/// Jobs removed at once.
const JOBS_AT_ONCE: usize = 4;
/// A driver that has been silent for so many leases is taken for dead: removing a job is less urgent than going on
/// with it.
const LEASES: u32 = 4;
/// How often a job is tried whose driver writes while it is looked at, or to which objects are added while they are
/// deleted.
const ROUNDS: usize = 5;
/// Probes of cleans that died are left for so long.
const PROBE_AGE: Duration = Duration::from_secs(60);

/// Which jobs to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These. One that is not there is an error.
    Ids(Vec<JobId>),
    /// Those for which nothing has been written for so long.
    OlderThan(Duration),
    /// All, and images that no job needs any more.
    All,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Jobs that are gone, or would be gone.
    pub removed: Vec<Removed>,
    /// Jobs that were selected and are still there.
    pub kept: Vec<Kept>,
    /// Programs that no job needs any more.
    pub images: Vec<ImageId>,
}

/// A job that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub id: JobId,
    /// Objects that it had.
    pub objects: u64,
    /// Bytes that they had.
    pub bytes: u64,
}

/// A job that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub id: JobId,
    /// Why.
    pub why: Why,
}

/// Why a job was not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Somebody works on it.
    Running(Owner),
    /// It has been handed to a process that has not begun yet.
    Starting,
    /// Something could not be read or deleted; what is left is removed by the next clean.
    Failed(String),
}

/// Removes jobs that have ended or that nobody works on any more, with everything that is stored of them, and never one
/// that somebody works on. Jobs whose removal was begun and not finished are removed as well, whatever is selected. `by`
/// is told to whoever finds a job on its way out.
///
/// With `dry_run` it says what it would remove. That something of one job cannot be removed does not keep it from the
/// others; see [`Why::Failed`].
pub async fn clean(store: &Store, selection: &Selection, dry_run: bool, by: &Owner) -> Result<Cleaned> {
    let (jobs, others) = match selection {
        Selection::Ids(ids) => {
            let mut jobs = std::collections::BTreeMap::new();
            for id in ids {
                let stored = Stored::of(store, id).await?;
                if stored.objects == 0 {
                    return Err(no_job(store, id));
                }
                jobs.insert(id.clone(), stored);
            }
            (jobs, Vec::new())
        }
        Selection::OlderThan(_) | Selection::All => listed(store, JOBS).await?,
    };
    let now = storage_now(store).await?;
    if !dry_run {
        remove_probes(store, &others, now).await?;
    }
    let cleaner = Cleaner { store, selection, dry_run, by };
    let removals = jobs.into_iter().map(|(id, stored)| {
        let cleaner = &cleaner;
        async move {
            let outcome = cleaner.job(&id, &stored, now).await;
            (id, stored, outcome)
        }
    });
    let mut cleaned = Cleaned::default();
    let mut removals = iter(removals).buffered(JOBS_AT_ONCE);
    while let Some((id, stored, outcome)) = removals.next().await {
        match outcome {
            Ok(Fate::Gone) => {
                cleaned.removed.push(Removed { id, objects: stored.objects, bytes: stored.bytes });
            }
            Ok(Fate::Spared) => {}
            Ok(Fate::Kept(why)) => cleaned.kept.push(Kept { id, why }),
            Err(error) => cleaned.kept.push(Kept { id, why: Why::Failed(error.to_string()) }),
        }
    }
    Ok(cleaned)
}

struct Cleaner<'a> {
    store: &'a Store,
    selection: &'a Selection,
    dry_run: bool,
    by: &'a Owner,
}

enum Fate {
    /// It was removed, or would be.
    Gone,
    /// It was not selected.
    Spared,
    Kept(Why),
}

/// The end of a job's journal.
enum Tail {
    /// It ends with the entry that says that the job is being removed.
    Closed(u64),
    /// The next entry has this number.
    Open(u64),
}

impl Cleaner<'_> {
    async fn job(&self, id: &JobId, stored: &Stored, now: Option<SystemTime>) -> Result<Fate> {
        let mut tail = self.tail(id).await?;
        if let Tail::Open(_) = tail
            && !self.selects(id, stored, now).await?
        {
            return Ok(Fate::Spared);
        }
        for _ in 0..ROUNDS {
            let next = match tail {
                Tail::Closed(last) => {
                    if !self.dry_run {
                        self.remove(id, last).await?;
                    }
                    return Ok(Fate::Gone);
                }
                Tail::Open(next) => next,
            };
            // Behind the look at the journal, never before it.
            if let Some(why) = self.alive(id).await? {
                return Ok(Fate::Kept(why));
            }
            if self.dry_run {
                return Ok(Fate::Gone);
            }
            tail = self.close(id, next).await?;
        }
        let message = format!("job {id} is being written to, though nobody gives a sign of life for it");
        Err(Error::new(ErrorKind::Unavailable, message).with_hint("try again later"))
    }

    async fn selects(&self, id: &JobId, stored: &Stored, now: Option<SystemTime>) -> Result<bool> {
        let Selection::OlderThan(age) = self.selection else {
            return Ok(true);
        };
        if let (Some(now), Some(modified)) = (now, stored.modified) {
            return Ok(now.duration_since(modified).unwrap_or_default() >= *age);
        }
        // Where the storage tells no dates, those in manifests must do; what has none is not known to be old.
        let manifest = super::super::manifest::Manifest::read_opt(self.store, id).await?;
        let made = manifest.map(|manifest| manifest.created);
        Ok(made.is_some_and(|made| super::super::manifest::unix_now().saturating_sub(made) >= age.as_secs()))
    }

    async fn tail(&self, id: &JobId) -> Result<Tail> {
        let listed = self.store.list(&id.log_prefix()).await?;
        let last = listed.iter().filter_map(|object| seq_of(&object.key)).max();
        let Some(last) = last else {
            return Ok(Tail::Open(0));
        };
        let key = id.log_key(last)?;
        let Some(bytes) = self.store.get_opt(&key).await? else {
            // Another clean has just finished.
            return Ok(Tail::Open(last));
        };
        // What cannot be read is no removal, and it can be removed.
        match Entry::decode(&bytes, id, &key) {
            Ok(Entry::Clean(_)) => Ok(Tail::Closed(last)),
            _ => Ok(Tail::Open(last + 1)),
        }
    }

    /// Writes that the job is being removed, unless somebody has appended something meanwhile.
    async fn close(&self, id: &JobId, next: u64) -> Result<Tail> {
        let entry = Entry::Clean(Clean { by: self.by.clone() }).encode(fastrand::u128(..))?;
        match self.store.create(&id.log_key(next)?, entry).await? {
            Created::Ours => Ok(Tail::Closed(next)),
            Created::Other(_) | Created::Vanished => self.tail(id).await,
        }
    }

    /// Why the job must stay, if it must.
    async fn alive(&self, id: &JobId) -> Result<Option<Why>> {
        let mut seen: Option<(Beat, Duration)> = None;
        loop {
            let begun = self.store.clock().now();
            let Some(beat) = Beat::read(self.store, id).await? else {
                return Ok(None);
            };
            let written = self.store.head_opt(&id.beat_key()?).await?.and_then(|object| object.modified);
            let now = if written.is_some() { storage_now(self.store).await? } else { None };
            let why = |beat: Beat| {
                if beat.handed_over { Why::Starting } else { Why::Running(beat.owner) }
            };
            match may_live(&beat, written, now, LEASES) {
                Some(true) => return Ok(Some(why(beat))),
                Some(false) => return Ok(None),
                None => {}
            }
            // The storage tells no dates: watch for a while.
            match &seen {
                Some((before, since)) if *before == beat => {
                    if begun.saturating_sub(*since) >= holds(&beat, LEASES) {
                        return Ok(None);
                    }
                }
                Some(_) => return Ok(Some(why(beat))),
                None => seen = Some((beat.clone(), self.store.clock().now())),
            }
            self.store.clock().sleep(beat.lease / 2).await;
        }
    }

    /// Deletes everything of a job whose journal was closed by entry `last`: the manifest first, that entry last.
    async fn remove(&self, id: &JobId, last: u64) -> Result<()> {
        self.store.delete(&id.manifest_key()?).await?;
        let closing = id.log_key(last)?;
        for _ in 0..ROUNDS {
            let rest: Vec<Key> =
                self.store.list(&id.prefix()).await?.into_iter().map(|object| object.key).collect();
            if rest.is_empty() {
                return Ok(());
            }
            let rest: Vec<Key> = rest.into_iter().filter(|key| *key != closing).collect();
            if rest.is_empty() {
                self.store.delete(&closing).await?;
                continue;
            }
            iter(rest)
                .map(|key| async move { self.store.delete(&key).await })
                .buffer_unordered(DELETES)
                .try_collect::<()>()
                .await?;
        }
        let message = format!("objects are added to job {id} while it is being removed");
        Err(Error::new(ErrorKind::Unavailable, message)
            .with_hint("something still works on it: try again later"))
    }
}

async fn remove_probes(store: &Store, others: &[ObjectMeta], now: Option<SystemTime>) -> Result<()> {
    for object in others {
        let probe = object.key.as_str().strip_prefix(JOBS).is_some_and(|name| name.starts_with(PROBES));
        let age = now.zip(object.modified).and_then(|(now, then)| now.duration_since(then).ok());
        if probe && age.is_some_and(|age| age >= PROBE_AGE) {
            store.delete(&object.key).await?;
        }
    }
    Ok(())
}

//! Removing one job. The argument why that harms nobody is in [the module above](super).

use std::time::{Duration, SystemTime};

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::clean::Why;
use super::list::last_entry;
use super::stored::{Stored, holds, may_live, storage_now};
use crate::durable::beat::{Beat, DEFAULT_LEASE};
use crate::durable::entry::{Clean, Entry};
use crate::durable::id::JobId;
use crate::durable::owner::Owner;
use crate::durable::store::{Created, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Key;

/// Deletions at once.
const DELETES: usize = 16;
/// A driver that has been silent for so many leases is taken for dead: removing a job is less urgent than going on
/// with it.
const LEASES: u32 = 4;
/// How often a job is tried whose driver writes while it is looked at, or to which objects are added while they are
/// deleted.
const ROUNDS: usize = 5;
/// How long a job is watched that has neither ended nor anybody who works on it: its sign of life may have been taken
/// away by a late order of an earlier driver, and comes back then.
const UNOWNED: Duration = DEFAULT_LEASE.saturating_mul(2);
/// A sign of life that cannot be read, as one of a later version, is believed for so long.
const UNREADABLE: Duration = Duration::from_hours(1);

pub(super) struct Remover<'a> {
    pub(super) store: &'a Store,
    pub(super) dry_run: bool,
    pub(super) by: &'a Owner,
}

pub(super) enum Fate {
    /// It was removed, or would be.
    Gone,
    /// It was not selected.
    Spared,
    Kept(Why),
}

/// How a job stands in storage.
enum Standing {
    /// There is nothing of it.
    Nothing,
    /// This is the last entry of its journal, and says that it is being removed.
    Closed(u64),
    /// The next entry has this number. `begun`: it has a manifest and has not ended.
    Open { next: u64, begun: bool },
}

impl Remover<'_> {
    pub(super) async fn job(&self, id: &JobId, selected: bool) -> Result<Fate> {
        for _ in 0..ROUNDS {
            let (next, begun) = match self.standing(id).await? {
                Standing::Nothing => return Ok(Fate::Gone),
                Standing::Closed(last) => {
                    if !self.dry_run {
                        self.remove(id, last).await?;
                    }
                    return Ok(Fate::Gone);
                }
                Standing::Open { next, begun } => (next, begun),
            };
            if !selected {
                return Ok(Fate::Spared);
            }
            // After the look at the journal, never before it.
            if let Some(why) = self.alive(id, begun).await? {
                return Ok(Fate::Kept(why));
            }
            if self.dry_run {
                return Ok(Fate::Gone);
            }
            // Where somebody has appended something since, look again.
            if let Some(last) = self.close(id, next).await? {
                self.remove(id, last).await?;
                return Ok(Fate::Gone);
            }
        }
        let message = format!("job {id} is being written to, though nobody gives a sign of life for it");
        Err(Error::new(ErrorKind::Unavailable, message).with_hint("try again later"))
    }

    async fn standing(&self, id: &JobId) -> Result<Standing> {
        let stored = Stored::of(self.store, id).await?;
        if stored.objects == 0 {
            return Ok(Standing::Nothing);
        }
        let Some((last, _)) = stored.last else {
            return Ok(Standing::Open { next: 0, begun: stored.manifest });
        };
        // What cannot be read does not say that the job is being removed, and can be removed.
        let entry = match last_entry(self.store, id, last).await {
            Err(error) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Incompatible) => None,
            entry => entry?,
        };
        Ok(match entry {
            Some(Entry::Clean(_)) => Standing::Closed(last),
            entry => {
                let ended = matches!(entry, Some(Entry::End(_)));
                Standing::Open { next: last + 1, begun: stored.manifest && !ended }
            }
        })
    }

    /// Writes that the job is being removed, unless another entry has the number.
    async fn close(&self, id: &JobId, next: u64) -> Result<Option<u64>> {
        let entry = Entry::Clean(Clean { by: self.by.clone() }).encode(fastrand::u128(..))?;
        match self.store.create(&id.log_key(next)?, entry).await? {
            Created::Ours => Ok(Some(next)),
            Created::Other(_) | Created::Vanished => Ok(None),
        }
    }

    /// Why the job must stay, if it must.
    async fn alive(&self, id: &JobId, begun: bool) -> Result<Option<Why>> {
        let clock = self.store.clock();
        let mut seen: Option<(Option<Beat>, Duration)> = None;
        loop {
            let looked = clock.now();
            let beat = match Beat::read(self.store, id).await {
                Ok(beat) => beat,
                Err(error) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Incompatible) => {
                    return self.believe(id, error).await;
                }
                Err(error) => return Err(error),
            };
            let hold = match &beat {
                None if !begun => return Ok(None),
                None => UNOWNED,
                Some(beat) => {
                    let written = self.written(id).await?;
                    match may_live(
                        beat,
                        written.map(|(written, _)| written),
                        written.map(|(_, now)| now),
                        LEASES,
                    ) {
                        Some(true) => return Ok(Some(why(beat))),
                        Some(false) => return Ok(None),
                        // The storage tells no dates: watch for a while.
                        None => holds(beat, LEASES),
                    }
                }
            };
            match &seen {
                None => seen = Some((beat, clock.now())),
                Some((before, since)) if *before == beat => {
                    if looked.saturating_sub(*since) >= hold {
                        return Ok(None);
                    }
                }
                Some((Some(_), _)) if beat.is_none() => seen = Some((beat, clock.now())),
                Some(_) => return Ok(beat.as_ref().map(why)),
            }
            clock.sleep(hold / 8).await;
        }
    }

    /// When the job's sign of life was written, and a time that was not later than now, for the storage.
    async fn written(&self, id: &JobId) -> Result<Option<(SystemTime, SystemTime)>> {
        // In this order: a clean that stands still between the two must not take a fresh sign for an old one.
        let now = storage_now(self.store).await?;
        let object = self.store.head_opt(&id.beat_key()?).await?;
        Ok(object.and_then(|object| object.modified).zip(now))
    }

    /// What to make of a sign of life that cannot be read.
    async fn believe(&self, id: &JobId, error: Error) -> Result<Option<Why>> {
        match self.written(id).await? {
            Some((written, now)) if now.duration_since(written).unwrap_or_default() >= UNREADABLE => Ok(None),
            _ => Err(error),
        }
    }

    /// Deletes everything of a job whose journal was closed by entry `last`: the manifest first, that entry last.
    async fn remove(&self, id: &JobId, last: u64) -> Result<()> {
        self.store.delete(&id.manifest_key()?).await?;
        let closing = id.log_key(last)?;
        for _ in 0..ROUNDS {
            let mut rest: Vec<Key> =
                self.store.list(&id.prefix()).await?.into_iter().map(|object| object.key).collect();
            if rest.is_empty() {
                return Ok(());
            }
            rest.retain(|key| *key != closing);
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

fn why(beat: &Beat) -> Why {
    if beat.handed_over { Why::Starting } else { Why::Running(beat.owner.clone()) }
}

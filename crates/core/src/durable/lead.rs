//! Who drives a job: leadership through the journal.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::beat::Heart;
use super::entry::{End, Entry, Lead};
use super::journal::{Appended, Journal, Logged};
use super::manifest::Manifest;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Key;

/// What came of trying to drive a job.
#[derive(Debug)]
pub enum Taken {
    /// This process drives it.
    Leading(Leadership),
    /// Somebody else took the lead, or ended the job, first: see [`Journal::view`].
    Other(Journal),
}

/// The right to drive a job.
#[derive(Debug)]
pub struct Leadership {
    journal: Journal,
    heart: Arc<Heart>,
    lead: Lead,
}

/// What came of an entry of the driver's.
#[derive(Debug, Clone, PartialEq)]
pub enum Commit {
    /// It has this number.
    Written(u64),
    /// An entry of an earlier driver came before it: what it holds is decided. Commit the rest.
    Lost(Logged),
    /// Somebody else drives the job: what was to be committed is void.
    Deposed(Lead),
}

/// Takes the lead of the job whose journal was read to its end, unless somebody else is first. `heart` must be beating.
/// Entries that others append meanwhile are shown to `visit`.
pub async fn take_lead(
    mut journal: Journal,
    heart: Arc<Heart>,
    mut visit: impl FnMut(&Logged) -> Result<()>,
) -> Result<Taken> {
    loop {
        let lapses = heart.lapses();
        let epoch = journal.view().lead.as_ref().map_or(0, |lead| lead.epoch) + 1;
        let lead = Lead { owner: heart.owner().clone(), epoch, tally: journal.view().tally };
        let appended = match journal.append(&Entry::Lead(lead.clone())).await {
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                // The job is being removed: a sign of life must not stay behind.
                heart.stop().await?;
                return Err(error);
            }
            appended => appended?,
        };
        match appended {
            Appended::Written(seq) => {
                heart.found();
                heart.set_epoch(epoch);
                let mut leadership = Leadership { journal, heart, lead };
                // Between the last look and the entry the job may have been removed altogether.
                leadership.check(seq, lapses).await?;
                return Ok(Taken::Leading(leadership));
            }
            Appended::Lost(logged) => {
                visit(&logged)?;
                if matches!(logged.entry, Entry::Lead(_) | Entry::End(_)) {
                    return Ok(Taken::Other(journal));
                }
            }
        }
    }
}

/// Begins a job: its inputs and its shared value are stored, and now it gets its manifest and its first driver.
/// `heart` was started before anything of it was stored. If it then fell silent, another process may be the first.
pub async fn found(store: &Store, manifest: &Manifest, heart: Arc<Heart>) -> Result<Taken> {
    let id = &manifest.id;
    if manifest.write(store).await?.is_some() {
        let message = format!("there is a job {id} already");
        return Err(Error::new(ErrorKind::Internal, message));
    }
    let sure = heart.is_sure();
    let leadership = match take_lead(Journal::open(store, id.clone()), Arc::clone(&heart), |_| Ok(())).await {
        Ok(Taken::Leading(leadership)) => leadership,
        Ok(other @ Taken::Other(_)) => return Ok(other),
        Err(error) => {
            if error.kind() == ErrorKind::Cancelled {
                store.delete(&id.manifest_key()?).await?;
            }
            return Err(error);
        }
    };
    // Whoever took it for the remains of a dead process has removed what there was, and is done with that, or there
    // would be an entry that says so.
    let never_silent = sure && heart.is_sure();
    if !never_silent && !is_whole(store, manifest).await? {
        for object in store.list(&id.prefix()).await? {
            store.delete(&object.key).await?;
        }
        heart.stop().await?;
        return Err(super::journal::removed(id, None));
    }
    Ok(Taken::Leading(leadership))
}

/// Whether everything that a manifest names is there.
async fn is_whole(store: &Store, manifest: &Manifest) -> Result<bool> {
    if let Some(shared) = &manifest.shared
        && store.head_opt(&Key::new(shared.key.as_str())?).await?.is_none()
    {
        return Ok(false);
    }
    let blocks = manifest.inputs.as_ref().map_or(0, |inputs| inputs.blocks.len() as u64);
    let there: BTreeSet<Key> =
        store.list(&manifest.id.input_prefix()).await?.into_iter().map(|object| object.key).collect();
    for block in 0..blocks {
        if !there.contains(&manifest.id.input_key(block)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Leadership {
    /// Appends an entry. On an error it is not known whether it was written; the next driver will see.
    pub async fn commit(&mut self, entry: &Entry) -> Result<Commit> {
        let (sure, lapses) = (self.heart.is_sure(), self.heart.lapses());
        match self.journal.append(entry).await? {
            Appended::Written(seq) => {
                if !sure || !self.heart.is_sure() {
                    self.check(seq, lapses).await?;
                }
                Ok(Commit::Written(seq))
            }
            Appended::Lost(logged) => Ok(match &logged.entry {
                Entry::Lead(lead) => Commit::Deposed(lead.clone()),
                _ => Commit::Lost(logged),
            }),
        }
    }

    /// Commits the job's end, and then gives no more signs of life.
    pub async fn end(&mut self, end: End) -> Result<Commit> {
        let commit = self.commit(&Entry::End(end)).await?;
        if let Commit::Written(_) = commit {
            self.heart.stop().await?;
        }
        Ok(commit)
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal, to read on as a viewer.
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// This driver.
    pub fn lead(&self) -> &Lead {
        &self.lead
    }

    /// The signs of life that it needs.
    pub fn heart(&self) -> &Arc<Heart> {
        &self.heart
    }

    /// Makes sure that entry `seq`, which was begun to be written after so many lapses, stands in a journal: who
    /// removes a job deletes the manifest first and the last entry last, so where there is a manifest nobody has
    /// removed anything.
    async fn check(&mut self, seq: u64, lapses: u64) -> Result<()> {
        if self.journal.is_there().await? {
            self.heart.looked(lapses);
            return Ok(());
        }
        self.journal.store().delete(&self.journal.id().log_key(seq)?).await?;
        self.heart.stop().await?;
        Err(self.journal.removed(None))
    }
}

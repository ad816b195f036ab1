//! Jobs that are resumed by content: finding what earlier runs of the same program have committed.
//!
//! Each such job belongs to a [family](ResumeFamily): same program, function and shared value. A run reads the journals
//! of all jobs of its family, and goes on with the first of them that nobody drives, or begins another. So two runs of
//! one program at the same time do not meet, and a later one has the results of both.

use std::sync::Arc;
use std::time::Duration;

use super::beat::{BeatWatch, Heart, Life};
use super::id::{JobId, ResumeFamily};
use super::identity::CommittedByIdentity;
use super::journal::Journal;
use super::lead::{Leadership, Taken, found, take_lead};
use super::manifest::Manifest;
use super::owner::Owner;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};

/// A job that goes on, or begins.
#[derive(Debug)]
pub struct Resumed {
    /// What it is.
    pub manifest: Manifest,
    /// The right to drive it.
    pub leadership: Leadership,
    /// What it and others of its family have committed.
    pub committed: CommittedByIdentity,
}

/// Goes on with a job of a family, or begins one. `manifest` makes the manifest of a new one.
pub async fn resume(
    store: &Store,
    family: &ResumeFamily,
    owner: &Owner,
    lease: Duration,
    manifest: impl Fn(&JobId) -> Result<Manifest>,
) -> Result<Resumed> {
    let mut committed = CommittedByIdentity::new();
    let mut free = Vec::new();
    for id in find(store, family).await? {
        let mut journal = Journal::open(store, id.clone());
        match journal.read_all(|logged| committed.add(&id, logged)).await {
            Ok(()) => {}
            // It is being removed.
            Err(error) if error.kind() == ErrorKind::Cancelled => continue,
            Err(error) => return Err(error),
        }
        if !matches!(BeatWatch::new(store, &id).look().await?, Life::Alive(_)) {
            free.push(journal);
        }
    }
    for journal in free {
        let id = journal.id().clone();
        let Some(manifest) = Manifest::read_opt(store, &id).await? else {
            continue;
        };
        let heart = Heart::start(store, &id, owner.clone(), lease, Some(manifest.image)).await?;
        match take_lead(journal, Arc::clone(&heart), |logged| committed.add(&id, logged)).await {
            Ok(Taken::Leading(leadership)) => return Ok(Resumed { manifest, leadership, committed }),
            Ok(Taken::Other(_)) => heart.leave().await,
            Err(error) if error.kind() == ErrorKind::Cancelled => {}
            Err(error) => return Err(error),
        }
    }
    let id = JobId::resumed(family, fastrand::u32(..));
    let manifest = manifest(&id)?;
    let heart = Heart::start(store, &id, owner.clone(), lease, Some(manifest.image)).await?;
    match found(store, &manifest, heart).await? {
        Taken::Leading(leadership) => Ok(Resumed { manifest, leadership, committed }),
        Taken::Other(journal) => {
            let lead = journal.view().lead.as_ref().map(|lead| lead.owner.to_string()).unwrap_or_default();
            let message = format!("job {id} was taken over by {lead} before it had begun");
            Err(Error::new(ErrorKind::Unavailable, message).with_hint("run the program again"))
        }
    }
}

/// The jobs of a family that have a manifest.
async fn find(store: &Store, family: &ResumeFamily) -> Result<Vec<JobId>> {
    let listed = store.list(&family.prefix()).await?;
    let jobs = listed.iter().filter_map(|object| JobId::of_key(&object.key));
    Ok(jobs.filter(|(_, name)| *name == "manifest").map(|(id, _)| id).collect())
}

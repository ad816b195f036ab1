//! Taking jobs away, and programs that no job needs any more.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures_util::stream::{StreamExt, iter};

use super::list::no_job;
use super::remove::{Fate, Remover};
use super::stored::{PROBES, Stored, listed, storage_now};
use crate::durable::id::{JOBS, JobId};
use crate::durable::images;
use crate::durable::manifest::{Manifest, unix_now};
use crate::durable::owner::Owner;
use crate::durable::store::Store;
use crate::error::Result;
use crate::image::ImageId;
use crate::storage::ObjectMeta;

/// Jobs removed at once.
const JOBS_AT_ONCE: usize = 4;
/// Probes of cleans that died are left for so long.
const PROBE_AGE: Duration = Duration::from_mins(1);

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
    let now = storage_now(store).await?;
    let (jobs, others) = match selection {
        Selection::Ids(ids) => (named(store, ids).await?, Vec::new()),
        Selection::OlderThan(_) | Selection::All => listed(store, JOBS).await?,
    };
    if !dry_run {
        remove_probes(store, &others, now).await?;
    }
    let remover = Remover { store, dry_run, by };
    let removals = jobs.into_iter().map(|(id, stored)| {
        let remover = &remover;
        async move {
            let outcome = match selects(store, selection, &id, &stored, now).await {
                Ok(selected) => remover.job(&id, selected).await,
                Err(error) => Err(error),
            };
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
    if *selection == Selection::All {
        let gone: Vec<&JobId> = cleaned.removed.iter().map(|removed| &removed.id).collect();
        cleaned.images = images::clean(store, dry_run, &gone).await?;
    }
    Ok(cleaned)
}

/// Removes programs that no job needs any more. Jobs in `gone` are taken for removed, as a dry run takes them.
pub async fn clean_images(store: &Store, dry_run: bool, gone: &[JobId]) -> Result<Vec<ImageId>> {
    images::clean(store, dry_run, &gone.iter().collect::<Vec<_>>()).await
}

async fn named(store: &Store, ids: &[JobId]) -> Result<BTreeMap<JobId, Stored>> {
    let mut jobs = BTreeMap::new();
    for id in ids {
        let stored = Stored::of(store, id).await?;
        if stored.objects == 0 {
            return Err(no_job(store, id));
        }
        jobs.insert(id.clone(), stored);
    }
    Ok(jobs)
}

async fn selects(
    store: &Store,
    selection: &Selection,
    id: &JobId,
    stored: &Stored,
    now: Option<SystemTime>,
) -> Result<bool> {
    let Selection::OlderThan(age) = selection else {
        return Ok(true);
    };
    if let (Some(now), Some(modified)) = (now, stored.modified) {
        return Ok(now.duration_since(modified).unwrap_or_default() >= *age);
    }
    // Where the storage tells no dates, those in manifests must do; what has none is not known to be old.
    let made = Manifest::read_opt(store, id).await?.map(|manifest| manifest.created);
    Ok(made.is_some_and(|made| unix_now().saturating_sub(made) >= age.as_secs()))
}

async fn remove_probes(store: &Store, others: &[ObjectMeta], now: Option<SystemTime>) -> Result<()> {
    for object in others {
        let probe = object.key.as_str().strip_prefix(JOBS).is_some_and(|name| name.starts_with(PROBES));
        let age = now.zip(object.modified).and_then(|(now, then)| now.duration_since(then).ok());
        // Where there are no dates, probes are of no use to anybody.
        if probe && age.is_none_or(|age| age >= PROBE_AGE) {
            store.delete(&object.key).await?;
        }
    }
    Ok(())
}

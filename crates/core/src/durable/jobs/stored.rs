//! What a listing tells of each job, and the storage's own clock.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::durable::beat::Beat;
use crate::durable::id::{JOBS, JobId};
use crate::durable::journal::seq_of;
use crate::durable::store::Store;
use crate::error::{ErrorClass, Result};
use crate::storage::{Key, ObjectMeta, StorageResult};

/// What a listing tells of one job.
#[derive(Debug, Clone, Default)]
pub(in crate::durable) struct Stored {
    pub(in crate::durable) objects: u64,
    pub(in crate::durable) bytes: u64,
    /// When any of it was last written, by the storage's clock.
    pub(in crate::durable) modified: Option<SystemTime>,
    pub(in crate::durable) manifest: bool,
    pub(in crate::durable) beat: bool,
    /// When the sign of life was written.
    pub(in crate::durable) beaten: Option<SystemTime>,
    pub(in crate::durable) capsules: u64,
    /// The last entry of the journal: its number and size.
    pub(in crate::durable) last: Option<(u64, u64)>,
}

impl Stored {
    fn add(&mut self, name: &str, object: &ObjectMeta) {
        self.objects += 1;
        self.bytes += object.size;
        self.modified = self.modified.max(object.modified);
        match name {
            "manifest" => self.manifest = true,
            "beat" => (self.beat, self.beaten) = (true, object.modified),
            _ if name.starts_with("failed/") => self.capsules += 1,
            _ if name.starts_with("log/") => {
                if let Some(seq) = seq_of(&object.key) {
                    self.last = self.last.max(Some((seq, object.size)));
                }
            }
            _ => {}
        }
    }

    /// What is stored of one job.
    pub(in crate::durable) async fn of(store: &Store, id: &JobId) -> Result<Self> {
        Ok(listed(store, &id.prefix()).await?.0.remove(id).unwrap_or_default())
    }
}

/// What is stored of each job below a prefix, and what lies there that is no job's.
pub(in crate::durable) async fn listed(store: &Store, prefix: &str) -> Result<Listed> {
    let mut tries = 0;
    loop {
        match listed_once(store, prefix).await {
            Err(error) if store.again(&mut tries, &error).await => {}
            listed => return Ok(listed?),
        }
    }
}

type Listed = (BTreeMap<JobId, Stored>, Vec<ObjectMeta>);

async fn listed_once(store: &Store, prefix: &str) -> StorageResult<Listed> {
    let (mut jobs, mut others) = (BTreeMap::<JobId, Stored>::new(), Vec::new());
    let mut objects = store.storage().list(prefix);
    while let Some(object) = objects.try_next().await? {
        match JobId::of_key(&object.key) {
            Some((id, name)) => jobs.entry(id).or_default().add(name, &object),
            None => others.push(object),
        }
    }
    Ok((jobs, others))
}

/// What the names of probes begin with: no job's id has a dot in it.
pub(in crate::durable) const PROBES: &str = ".probe-";

/// What time it is for the storage; `None` where it does not tell, or lets nothing be written.
pub(in crate::durable) async fn storage_now(store: &Store) -> Result<Option<SystemTime>> {
    let key = Key::new(format!("{JOBS}{PROBES}{:016x}", fastrand::u64(..)))?;
    match store.put(&key, Bytes::new()).await {
        Ok(()) => {}
        Err(error) if error.class() == ErrorClass::Denied => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let head = store.head_opt(&key).await;
    store.delete(&key).await?;
    Ok(head?.and_then(|object| object.modified))
}

/// Whether a sign of life, written at `beaten` by the storage's clock that shows `now`, may still hold: `None` where
/// that cannot be told at once.
pub(in crate::durable) fn may_live(
    beat: &Beat,
    beaten: Option<SystemTime>,
    now: Option<SystemTime>,
    leases: u32,
) -> Option<bool> {
    if !beat.handed_over
        && let Some(running) = beat.owner.is_running()
    {
        return Some(running);
    }
    let age = now?.duration_since(beaten?).unwrap_or_default();
    Some(age < holds(beat, leases))
}

/// How long a sign of life is taken to hold. Dates may be cut to whole seconds.
pub(in crate::durable) fn holds(beat: &Beat, leases: u32) -> Duration {
    let leases = if beat.handed_over { 1 } else { leases };
    beat.lease.saturating_mul(leases).saturating_add(Duration::from_secs(2))
}

//! Signs of life: an object that whoever works on a job writes again and again, and others watch.
//!
//! Nobody's clock is compared with anybody else's. A watcher counts by its own clock how long the object has not
//! changed; the driver counts by its own how long ago it last wrote it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::id::JobId;
use super::image_id::optional;
use super::owner::Owner;
use super::sealed::newer;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageId;

/// How long a driver may give no sign of life unless configured otherwise.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);
/// Signs of life in the time of one lease.
const PER_LEASE: u32 = 3;
const VERSION: u32 = 1;

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    version: u32,
    /// Who lives.
    pub owner: Owner,
    /// Grows with each.
    pub counter: u64,
    /// The driver's epoch; 0 for who is not the driver of a journal.
    pub epoch: u64,
    /// How long it holds.
    pub lease: Duration,
    /// Whether the owner has handed its work to a process that is yet to begin: that the owner has ended means
    /// nothing then.
    #[serde(default)]
    pub handed_over: bool,
    /// The program that the work needs.
    #[serde(default, with = "optional", skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
}

/// What all versions have in common.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Beat {
    fn encode(&self) -> Result<Bytes> {
        let text = serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "a sign of life cannot be encoded").with_source(error)
        })?;
        Ok(text.into())
    }

    pub(super) async fn read(store: &Store, id: &JobId) -> Result<Option<Self>> {
        let key = id.beat_key()?;
        let Some(bytes) = store.get_opt(&key).await? else {
            return Ok(None);
        };
        let broken = |error: serde_json::Error| {
            Error::new(ErrorKind::Internal, format!("object {key} is no sign of life")).with_source(error)
        };
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(broken)?;
        if version > VERSION {
            return Err(newer("sign of life", &key, version, VERSION));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(broken)
    }
}

/// What the driver learns when it gives a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// Somebody asks for the job to be cancelled. Told once.
    Cancel,
    /// Somebody else drives the job.
    Deposed(Owner),
    /// The job was removed from the storage.
    Removed,
}

/// The signs of life of one process for one job. The first is given before anything else is stored of a job, and they
/// go on until the job's last object is written or deleted.
#[derive(Debug)]
pub struct Heart {
    store: Store,
    id: JobId,
    owner: Owner,
    lease: Duration,
    image: Option<ImageId>,
    epoch: AtomicU64,
    /// Whether the job has a manifest: that it has none any more means that it was removed.
    founded: AtomicBool,
    cancel_told: AtomicBool,
    pulse: Pulse,
    /// Held while the object is written, so that its last content is the one that was meant to be last.
    writing: tokio::sync::Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    counter: u64,
    ended: bool,
}

/// How sure the driver may be that nobody has thought it dead.
#[derive(Debug, Default)]
struct Pulse {
    /// When the last sign that was given was begun, in nanoseconds of the clock.
    last: AtomicU64,
    /// How often there was a time at which others could think it dead.
    lapses: AtomicU64,
    /// Of so many of these it is known that nobody did.
    looked: AtomicU64,
}

impl Heart {
    /// Gives the first sign of life.
    pub async fn start(
        store: &Store,
        id: &JobId,
        owner: Owner,
        lease: Duration,
        image: Option<ImageId>,
    ) -> Result<Arc<Self>> {
        let heart = Self {
            store: store.clone(),
            id: id.clone(),
            owner,
            lease,
            image,
            epoch: AtomicU64::new(0),
            founded: AtomicBool::new(false),
            cancel_told: AtomicBool::new(false),
            pulse: Pulse::default(),
            writing: tokio::sync::Mutex::default(),
        };
        heart.pulse.last.store(heart.now(), Ordering::Relaxed);
        let mut writing = heart.writing.lock().await;
        heart.write(&mut writing, lease, false, true).await?;
        drop(writing);
        Ok(Arc::new(heart))
    }

    /// Who lives.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The job.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// How long a sign holds.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Gives signs until there is something to tell. To be called again and again, for as long as work is done for the
    /// job. Signs that could not be written are tried again in their turn.
    pub async fn next_sign(&self) -> Sign {
        loop {
            self.store.clock().sleep(self.lease / PER_LEASE).await;
            match self.beat().await {
                Ok(Some(sign)) => return sign,
                Ok(None) => {}
                Err(error) => tracing::warn!(job = %self.id, %error, "a sign of life could not be given"),
            }
        }
    }

    /// Gives one sign.
    pub async fn beat(&self) -> Result<Option<Sign>> {
        let mut writing = self.writing.lock().await;
        if writing.ended {
            return Ok(None);
        }
        let found = Beat::read(&self.store, &self.id).await?;
        if let Some(found) = &found
            && found.epoch > self.epoch.load(Ordering::Relaxed)
            && found.owner != self.owner
        {
            return Ok(Some(Sign::Deposed(found.owner.clone())));
        }
        // Nobody takes it away but who removes the job.
        if found.is_none() && (!self.founded.load(Ordering::Relaxed) || self.is_removed().await?) {
            return Ok(Some(Sign::Removed));
        }
        self.write(&mut writing, self.lease, false, false).await?;
        if !self.is_sure() && self.is_removed().await? {
            self.store.delete(&self.id.beat_key()?).await?;
            return Ok(Some(Sign::Removed));
        }
        drop(writing);
        if !self.cancel_told.load(Ordering::Relaxed) && super::cancel_requested(&self.store, &self.id).await?
        {
            self.cancel_told.store(true, Ordering::Relaxed);
            return Ok(Some(Sign::Cancel));
        }
        Ok(None)
    }

    /// Gives a last sign that holds for `lease`, in which another process is to take the work over.
    pub async fn hand_over(&self, lease: Duration) -> Result<()> {
        let mut writing = self.writing.lock().await;
        self.write(&mut writing, lease, true, true).await?;
        writing.ended = true;
        Ok(())
    }

    /// Ends the signs and takes the last one away: nothing more will be done for the job. Only for who still drives it.
    pub async fn stop(&self) -> Result<()> {
        let mut writing = self.writing.lock().await;
        writing.ended = true;
        self.store.delete(&self.id.beat_key()?).await?;
        Ok(())
    }

    /// Ends the signs and leaves the last one to whoever drives the job now.
    pub async fn leave(&self) {
        self.writing.lock().await.ended = true;
    }

    /// Whether nobody can have thought the owner dead since it last looked.
    pub(super) fn is_sure(&self) -> bool {
        let last = self.pulse.last.load(Ordering::Relaxed);
        self.pulse.looked.load(Ordering::Relaxed) == self.lapses()
            && self.now().saturating_sub(last) < nanos(self.lease)
    }

    /// How often others could have thought the owner dead so far.
    pub(super) fn lapses(&self) -> u64 {
        self.pulse.lapses.load(Ordering::Relaxed)
    }

    /// Nobody had thought so the first `lapses` times.
    pub(super) fn looked(&self, lapses: u64) {
        self.pulse.looked.fetch_max(lapses, Ordering::Relaxed);
    }

    /// The job has a manifest from here on.
    pub(super) fn found(&self) {
        self.founded.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    async fn is_removed(&self) -> Result<bool> {
        let founded = self.founded.load(Ordering::Relaxed);
        Ok(founded && self.store.head_opt(&self.id.manifest_key()?).await?.is_none())
    }

    fn now(&self) -> u64 {
        nanos(self.store.clock().now())
    }

    async fn write(
        &self,
        writing: &mut Writing,
        lease: Duration,
        handed_over: bool,
        patient: bool,
    ) -> Result<()> {
        writing.counter += 1;
        let beat = Beat {
            version: VERSION,
            owner: self.owner.clone(),
            counter: writing.counter,
            epoch: self.epoch.load(Ordering::Relaxed),
            lease,
            handed_over,
            image: self.image,
        };
        let (key, bytes) = (self.id.beat_key()?, beat.encode()?);
        let begun = self.now();
        if patient {
            self.store.put(&key, bytes).await?;
        } else {
            // The next sign comes soon enough.
            self.store.storage().put(&key, bytes).await?;
        }
        let last = self.pulse.last.swap(begun, Ordering::Relaxed);
        if self.now().saturating_sub(last) >= nanos(self.lease) {
            self.pulse.lapses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether somebody works on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// Its owner gives signs of life.
    Alive(Beat),
    /// Its owner has fallen silent or has ended.
    Dead(Beat),
    /// Nobody does: its owner has ended its work, or has not begun it.
    Absent,
}

/// Watches whether somebody works on a job.
#[derive(Debug)]
pub struct BeatWatch {
    store: Store,
    id: JobId,
    seen: Option<(Beat, Duration)>,
}

impl BeatWatch {
    /// A watch that has seen nothing yet.
    pub fn new(store: &Store, id: &JobId) -> Self {
        Self { store: store.clone(), id: id.clone(), seen: None }
    }

    /// Looks now. An owner that was last seen to change more than its lease ago is dead; one that has been seen
    /// once only, no matter how old its sign, is alive: look again. One on this machine whose process has ended is
    /// dead at once.
    pub async fn look(&mut self) -> Result<Life> {
        let begun = self.store.clock().now();
        let Some(beat) = Beat::read(&self.store, &self.id).await? else {
            self.seen = None;
            return Ok(Life::Absent);
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == beat => *since,
            _ => {
                let now = self.store.clock().now();
                self.seen = Some((beat.clone(), now));
                now
            }
        };
        let ended = !beat.handed_over && beat.owner.is_running() == Some(false);
        if ended || begun.saturating_sub(since) >= beat.lease {
            Ok(Life::Dead(beat))
        } else {
            Ok(Life::Alive(beat))
        }
    }
}

//! Who waits for which answer. One list for each job tells of all of its invocations at once what has become of them, so
//! that a thousand cost no more than one; it is asked for more often while there is news.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::Events;
use rustwren_core::protocol::json::Enveloped;
use rustwren_core::protocol::queued::{Place, Queued, Sign};
use rustwren_core::storage::Storage;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::queued::cancelled;
use crate::queue::Queue;

/// The time between two lists, while there is news and while there is none.
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(2);
/// How often the poison queue is looked at, once an invocation has waited as long for a worker.
const POISON: Duration = Duration::from_secs(5);
/// For how long others do not see messages of the poison queue that are not ours.
const HIDDEN: Duration = Duration::from_secs(5);
/// How long taking back what is under way may hold up the end of a program.
const TAKE_BACK: Duration = Duration::from_secs(3);

/// What a wait comes to.
pub(super) enum End {
    /// The answer.
    Answer(Bytes),
    /// The invocation is in the poison queue.
    Poisoned,
    /// The invoker is shut down.
    Down,
    /// The answer cannot be had.
    Lost(BackendError),
}

struct Entry {
    invocation: u64,
    events: Arc<dyn Events>,
    since: Instant,
    taken: bool,
    tell: oneshot::Sender<End>,
}

type Entries = HashMap<String, HashMap<u64, Entry>>;

struct Shared {
    storage: Arc<dyn Storage>,
    poison: Queue,
    /// By job and number.
    entries: Mutex<Entries>,
    /// Rung when somebody begins to wait.
    more: Notify,
    down: watch::Sender<bool>,
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, job: &str, number: u64) -> Option<Entry> {
        let mut entries = self.entries();
        let of_job = entries.get_mut(job)?;
        let entry = of_job.remove(&number);
        if of_job.is_empty() {
            entries.remove(job);
        }
        entry
    }
}

/// Watches over answers. What it has started ends with it.
pub(super) struct Watch(Arc<Shared>);

impl Watch {
    /// Must be called on a runtime.
    pub(super) fn start(storage: Arc<dyn Storage>, poison: Queue) -> Self {
        let (entries, more, down) = (Mutex::default(), Notify::new(), watch::Sender::new(false));
        let shared = Arc::new(Shared { storage, poison, entries, more, down });
        tokio::spawn(poll(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// From now on the answer of this invocation is looked for.
    pub(super) fn wait_for(
        &self,
        place: &Place,
        invocation: u64,
        events: &Arc<dyn Events>,
    ) -> Result<Waiting, BackendError> {
        if *self.0.down.borrow() {
            return Err(BackendError::new(ErrorClass::Cancelled, "the invoker was shut down"));
        }
        let (tell, told) = oneshot::channel();
        let entry =
            Entry { invocation, events: Arc::clone(events), since: Instant::now(), taken: false, tell };
        self.0.entries().entry(place.job().to_owned()).or_default().insert(place.number(), entry);
        self.0.more.notify_one();
        Ok(Waiting { shared: Arc::clone(&self.0), place: place.clone(), told: Some(told) })
    }

    /// Ends all waits, and tells the workers that nobody waits any more.
    pub(super) async fn shutdown(&self) {
        self.0.down.send_replace(true);
        let entries = std::mem::take(&mut *self.0.entries());
        let taking_back = entries.into_iter().flat_map(|(job, of_job)| {
            of_job.into_iter().map(move |(number, entry)| {
                // Whoever waited may be gone.
                entry.tell.send(End::Down).unwrap_or_default();
                Place::new(&job, number)
            })
        });
        let taking_back = taking_back.map(|place| take_back(&*self.0.storage, place));
        let all = futures_util::future::join_all(taking_back);
        if tokio::time::timeout(TAKE_BACK, all).await.is_err() {
            tracing::warn!("some workers may go on with what nobody waits for");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // What polls would otherwise wait for ever for somebody who waits.
        self.0.down.send_replace(true);
    }
}

/// A wait. Dropped before its end, the invocation is taken back.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    place: Place,
    told: Option<oneshot::Receiver<End>>,
}

impl Waiting {
    pub(super) async fn end(mut self) -> End {
        let Some(told) = self.told.as_mut() else { return End::Down };
        // The sender goes without a word only with its runtime.
        let end = told.await.unwrap_or(End::Down);
        self.told = None;
        end
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.told.is_none() || self.shared.take(self.place.job(), self.place.number()).is_none() {
            return;
        }
        let (storage, place) = (Arc::clone(&self.shared.storage), self.place.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move { take_back(&*storage, place).await }));
        }
    }
}

/// Gives an answer in the worker's place, which sees then that its own is not wanted.
async fn take_back(storage: &dyn Storage, place: Place) {
    let put = async { storage.put_if_absent(&place.answer()?, cancelled()).await };
    if let Err(error) = put.await {
        tracing::debug!(%error, "an invocation that nobody waits for goes on");
    }
}

async fn poll(shared: Weak<Shared>) {
    let mut pause = OFTEN;
    let mut poison_at = Instant::now() + POISON;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if *shared.down.borrow() {
            return;
        }
        let jobs: Vec<String> = shared.entries().keys().cloned().collect();
        if jobs.is_empty() {
            pause = OFTEN;
            if wait_for_more(shared).await.is_none() {
                return;
            }
            continue;
        }
        let mut news = false;
        for job in jobs {
            match look(&shared, &job).await {
                Ok(some) => news |= some,
                Err(error) => {
                    tracing::debug!(%error, job, "it cannot be seen what has become of invocations");
                }
            }
        }
        if Instant::now() >= poison_at {
            if let Err(error) = look_for_poison(&shared).await {
                tracing::debug!(%error, "the poison queue cannot be looked at");
            }
            poison_at = Instant::now() + POISON;
        }
        pause = if news { OFTEN } else { (pause * 3 / 2).min(SELDOM) };
        let mut down = shared.down.subscribe();
        drop(shared);
        // The sender's end ends the loop above.
        drop(tokio::time::timeout(pause, down.wait_for(|down| *down)).await);
    }
}

/// Waits for somebody who waits. None when the invoker is down.
async fn wait_for_more(shared: Arc<Shared>) -> Option<()> {
    let mut down = shared.down.subscribe();
    tokio::select! {
        () = shared.more.notified() => Some(()),
        _ = down.wait_for(|down| *down) => None,
    }
}

/// Looks once at the invocations of a job. Whether there was any news.
async fn look(shared: &Shared, job: &str) -> Result<bool, BackendError> {
    let mut objects = shared.storage.list(&Place::prefix(job));
    let mut news = false;
    while let Some(object) = objects.try_next().await? {
        let Some((number, sign)) = Place::sign(job, &object.key) else { continue };
        match sign {
            Sign::Taken => {
                let mut entries = shared.entries();
                let entry = entries.get_mut(job).and_then(|of_job| of_job.get_mut(&number));
                let Some(entry) = entry.filter(|entry| !entry.taken) else { continue };
                entry.taken = true;
                news = true;
                let (events, invocation) = (Arc::clone(&entry.events), entry.invocation);
                drop(entries);
                events.started(invocation);
            }
            Sign::Answer => {
                let Some(entry) = shared.take(job, number) else { continue };
                news = true;
                let end = match shared.storage.get(&object.key).await {
                    Ok(bytes) => End::Answer(bytes),
                    Err(error) => End::Lost(error),
                };
                // Whoever waited may be gone.
                entry.tell.send(end).unwrap_or_default();
            }
        }
    }
    Ok(news)
}

/// Looks for invocations in the poison queue, if there are any that have waited long for a worker.
async fn look_for_poison(shared: &Shared) -> Result<(), BackendError> {
    let waits_long = |entry: &Entry| !entry.taken && entry.since.elapsed() >= POISON;
    if !shared.entries().values().flat_map(HashMap::values).any(waits_long) {
        return Ok(());
    }
    let messages = match shared.poison.receive(32, HIDDEN).await {
        // It is made with the first message in it.
        Err(error) if error.class() == ErrorClass::NotFound => return Ok(()),
        messages => messages?,
    };
    for message in messages {
        let bytes = message.body().and_then(|body| serde_json::from_slice::<Enveloped>(&body).ok());
        let Some(place) = bytes.and_then(|bytes| Queued::decode(&bytes.0).ok()).map(|queued| queued.place)
        else {
            continue;
        };
        if let Some(entry) = shared.take(place.job(), place.number()) {
            shared.poison.delete(&message).await?;
            // Whoever waited may be gone.
            entry.tell.send(End::Poisoned).unwrap_or_default();
        }
    }
    Ok(())
}

//! A storage that takes time and loses calls and replies, in simulated time.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use rustwren_core::clock::Clock;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, MemoryStorage, ObjectMeta, PutOutcome, Storage, StorageResult};

use super::clock::{SimClock, lock};
use super::work::Times;

/// What a simulated storage does wrong. Rates are probabilities from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StorageFaults {
    /// From a call to its effect, and again from there to its reply.
    pub latency: Times,
    /// Rate of calls that fail without effect.
    pub lost: f64,
    /// Rate of calls whose reply is lost: they had their effect and report an error.
    pub unanswered: f64,
    /// Rate of writes that report an error and have their effect later, unless another took their place.
    pub late: f64,
    /// From when on every write is refused: the storage is read-only.
    pub read_only_from: Option<Duration>,
}

impl StorageFaults {
    /// A storage that answers at once and always.
    pub const NONE: Self = Self {
        latency: Times::Constant(Duration::ZERO),
        lost: 0.0,
        unanswered: 0.0,
        late: 0.0,
        read_only_from: None,
    };
}

/// One client's way to objects that several clients share.
#[derive(Clone)]
pub struct SimStorage {
    objects: MemoryStorage,
    clock: SimClock,
    faults: StorageFaults,
    state: Arc<Mutex<State>>,
}

struct State {
    rng: fastrand::Rng,
    late: Vec<Late>,
}

/// A write under way that its caller has given up.
struct Late {
    at: Duration,
    key: Key,
    change: Change,
}

#[derive(Clone)]
enum Change {
    Put(Bytes),
    PutIfAbsent(Bytes),
    Delete,
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage").field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// What will become of a call.
enum Fate {
    Answered,
    Lost,
    Unanswered,
    Late,
}

impl SimStorage {
    /// A way to these objects, with faults drawn from a seed.
    pub fn new(objects: MemoryStorage, clock: SimClock, faults: StorageFaults, seed: u64) -> Self {
        let state = State { rng: fastrand::Rng::with_seed(seed), late: Vec::new() };
        Self { objects, clock, faults, state: Arc::new(Mutex::new(state)) }
    }

    /// The way there: whoever is dropped meanwhile has not called.
    async fn call(&self) -> (Fate, Duration) {
        let (fate, there, back) = {
            let rng = &mut lock(&self.state).rng;
            let StorageFaults { lost, unanswered, late, latency, .. } = self.faults;
            let drawn = rng.f64();
            let fate = if drawn < lost {
                Fate::Lost
            } else if drawn < lost + unanswered {
                Fate::Unanswered
            } else if drawn < lost + unanswered + late {
                Fate::Late
            } else {
                Fate::Answered
            };
            (fate, latency.draw(rng), latency.draw(rng))
        };
        self.wait(there).await;
        self.settle_late().await;
        (fate, back)
    }

    async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            self.clock.sleep(time).await;
        }
    }

    /// Late writes whose time has come have their effect before the next call has its own.
    async fn settle_late(&self) {
        let now = self.clock.now();
        let due: Vec<Late> = {
            let late = &mut lock(&self.state).late;
            let (due, rest) = late.drain(..).partition(|write| write.at <= now);
            *late = rest;
            due
        };
        for write in due {
            // A memory storage always answers.
            drop(self.apply(&write.key, write.change).await);
        }
    }

    async fn apply(&self, key: &Key, change: Change) -> StorageResult<PutOutcome> {
        match change {
            Change::Put(data) => self.objects.put(key, data).await.map(|()| PutOutcome::Created),
            Change::PutIfAbsent(data) => self.objects.put_if_absent(key, data).await,
            Change::Delete => self.objects.delete(key).await.map(|()| PutOutcome::Created),
        }
    }

    fn no_answer() -> BackendError {
        BackendError::new(ErrorClass::Transient, "simulated: no answer from the storage")
    }

    fn check_writable(&self) -> StorageResult<()> {
        if self.faults.read_only_from.is_some_and(|from| from <= self.clock.now()) {
            return Err(BackendError::new(ErrorClass::Denied, "simulated: the storage is read-only"));
        }
        Ok(())
    }

    async fn write(&self, key: &Key, change: Change) -> StorageResult<PutOutcome> {
        let (fate, back) = self.call().await;
        self.check_writable()?;
        let result = match fate {
            Fate::Lost => Err(Self::no_answer()),
            Fate::Late => {
                let mut state = lock(&self.state);
                let at = self.clock.now() + self.faults.latency.draw(&mut state.rng) * 20;
                state.late.push(Late { at, key: key.clone(), change });
                Err(Self::no_answer())
            }
            Fate::Answered => self.apply(key, change).await,
            Fate::Unanswered => self.apply(key, change).await.and(Err(Self::no_answer())),
        };
        self.wait(back).await;
        result
    }

    async fn read<T>(
        &self,
        effect: impl AsyncFnOnce(&MemoryStorage) -> StorageResult<T> + Send,
    ) -> StorageResult<T> {
        let (fate, back) = self.call().await;
        let result = match fate {
            Fate::Answered => effect(&self.objects).await,
            _ => Err(Self::no_answer()),
        };
        self.wait(back).await;
        result
    }
}

#[async_trait]
impl Storage for SimStorage {
    fn location(&self) -> String {
        "simulated://".to_owned()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.write(key, Change::Put(data)).await.map(drop)
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.write(key, Change::PutIfAbsent(data)).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.read(async |objects| objects.get(key).await).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.read(async |objects| objects.get_range(key, range).await).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        self.read(async |objects| objects.head(key).await).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let prefix = prefix.to_owned();
        stream::once(async move {
            let listed = self
                .read(async |objects| Ok(objects.list(&prefix).collect::<Vec<_>>().await))
                .await
                .unwrap_or_else(|error| vec![Err(error)]);
            stream::iter(listed)
        })
        .flatten()
        .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.write(key, Change::Delete).await.map(drop)
    }
}

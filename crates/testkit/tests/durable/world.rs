//! Processes on machines of their own, which share nothing but a storage over a network: it may delay, fail, lose
//! replies and carry out orders of processes that are long dead. Processes may be killed or frozen at any moment.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, StreamExt};
use rustwren_core::clock::{Clock, Sleep};
use rustwren_core::durable::{Owner, Store};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult, cut_range};
use rustwren_testkit::sim::{SimClock, SimExecutor, Spawner};

use crate::moment::Moment;

/// What the network does to one process.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// An order takes up to so long there, and its reply up to so long back.
    pub delay: Duration,
    /// Orders that fail without effect.
    pub fails: f64,
    /// Orders that are carried out, and the reply is lost.
    pub loses: f64,
    /// Orders that seem to fail, and are carried out later.
    pub late: f64,
}

impl Network {
    pub const GOOD: Self = Self { delay: Duration::from_millis(20), fails: 0.0, loses: 0.0, late: 0.0 };
    pub const BAD: Self = Self { delay: Duration::from_millis(400), fails: 0.03, loses: 0.03, late: 0.02 };
}

type Objects = BTreeMap<Key, (Bytes, Duration)>;

/// What all processes share.
#[derive(Clone)]
pub struct World {
    pub clock: SimClock,
    pub spawner: Spawner,
    objects: Arc<Mutex<Objects>>,
    rng: Arc<Mutex<fastrand::Rng>>,
    /// Whether the storage tells when objects were written.
    dates: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Runs what `play` sets up to its end. The same seed gives the same run.
    pub fn run<T, Fut: Future<Output = T>>(seed: u64, dates: bool, play: impl FnOnce(World) -> Fut) -> T {
        fastrand::seed(seed);
        let clock = SimClock::new();
        let mut executor = SimExecutor::new(clock.clone(), seed);
        let world = World {
            clock,
            spawner: executor.spawner(),
            objects: Arc::default(),
            rng: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
            dates,
        };
        match executor.block_on(play(world)) {
            Ok(value) => value,
            Err(stuck) => panic!("seed {seed}: {stuck}"),
        }
    }

    pub fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut lock(&self.rng))
    }

    /// Up to so long.
    pub fn up_to(&self, most: Duration) -> Duration {
        self.draw(|rng| most.mul_f64(rng.f64()))
    }

    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// The storage as a process sees it.
    pub fn store(&self, network: Network) -> Store {
        let link = Link { world: self.clone(), network, moment: Moment::never() };
        Store::new(Arc::new(link), Arc::new(self.clock.clone()))
    }

    /// The storage as a process sees it to which something happens at a moment.
    pub fn store_at(&self, moment: &Moment) -> Store {
        let link = Link { world: self.clone(), network: Network::GOOD, moment: moment.clone() };
        Store::new(Arc::new(link), Arc::new(self.clock.clone()))
    }

    pub fn keys(&self) -> Vec<String> {
        lock(&self.objects).keys().map(Key::to_string).collect()
    }

    pub fn remove(&self, key: &str) {
        lock(&self.objects).remove(key);
    }

    pub fn change(&self, key: &str, change: impl FnOnce(Bytes) -> Bytes) {
        let mut objects = lock(&self.objects);
        let (bytes, _) = objects.get_mut(key).unwrap_or_else(|| panic!("no object {key}"));
        *bytes = change(std::mem::take(bytes));
    }
}

struct Link {
    world: World,
    network: Network,
    moment: Moment,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("network", &self.network).finish_non_exhaustive()
    }
}

enum Luck {
    Good,
    Fails,
    Loses,
    Late,
}

impl Link {
    /// Sends an order on its way. It goes on without whoever sent it.
    async fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Objects, Duration) -> StorageResult<T> + Send + 'static,
    ) -> StorageResult<T> {
        self.moment.pass().await;
        let Network { delay, fails, loses, late } = self.network;
        let luck = self.world.draw(|rng| match rng.f64() {
            x if x < fails => Luck::Fails,
            x if x < fails + loses => Luck::Loses,
            x if x < fails + loses + late => Luck::Late,
            _ => Luck::Good,
        });
        let (there, back) = (self.world.up_to(delay), self.world.up_to(delay));
        let (reply, replied) = tokio::sync::oneshot::channel();
        let world = self.world.clone();
        self.world.spawner.spawn("order", async move {
            let trouble = || Err(BackendError::new(ErrorClass::Transient, "the network has failed"));
            world.sleep(there).await;
            let result = match luck {
                Luck::Fails => trouble(),
                Luck::Late => {
                    let later = world.up_to(Duration::from_secs(3));
                    let (inner, objects) = (world.clone(), Arc::clone(&world.objects));
                    world.spawner.spawn("late order", async move {
                        inner.sleep(later).await;
                        drop(order(&mut lock(&objects), inner.clock.now()));
                    });
                    trouble()
                }
                Luck::Good | Luck::Loses => {
                    let result = order(&mut lock(&world.objects), world.clock.now());
                    if matches!(luck, Luck::Loses) { trouble() } else { result }
                }
            };
            world.sleep(back).await;
            // Nobody may be waiting any more.
            drop(reply.send(result));
        });
        let result = replied.await.expect("every order is replied to");
        self.moment.pass().await;
        result
    }

    fn meta(&self, key: &Key, bytes: &Bytes, written: Duration) -> ObjectMeta {
        let modified = self.world.dates.then(|| SystemTime::UNIX_EPOCH + written);
        ObjectMeta { key: key.clone(), size: bytes.len() as u64, modified }
    }
}

fn find<'a>(objects: &'a Objects, key: &Key) -> StorageResult<&'a (Bytes, Duration)> {
    objects.get(key).ok_or_else(|| BackendError::new(ErrorClass::NotFound, format!("no object {key}")))
}

#[async_trait]
impl Storage for Link {
    fn location(&self) -> String {
        "sim://".to_owned()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        let key = key.clone();
        self.order(move |objects, now| {
            objects.insert(key, (data, now));
            Ok(())
        })
        .await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        let key = key.clone();
        self.order(move |objects, now| {
            if objects.contains_key(&key) {
                return Ok(PutOutcome::Exists);
            }
            objects.insert(key, (data, now));
            Ok(PutOutcome::Created)
        })
        .await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        let key = key.clone();
        self.order(move |objects, _| Ok(find(objects, &key)?.0.clone())).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let key = key.clone();
        self.order(move |objects, _| {
            let (bytes, _) = find(objects, &key)?;
            let range = cut_range(&key, &range, bytes.len() as u64)?;
            Ok(bytes.slice(range.start as usize..range.end as usize))
        })
        .await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let found = key.clone();
        let (bytes, written) = self.order(move |objects, _| find(objects, &found).cloned()).await?;
        Ok(self.meta(key, &bytes, written))
    }

    /// A few objects at a time: what is written meanwhile may be missed, and what comes after it seen.
    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        const PAGE: usize = 5;
        let state = (prefix.to_owned(), None::<Key>, false);
        stream::unfold(state, move |(prefix, last, ended)| async move {
            if ended {
                return None;
            }
            let (begins, after) = (prefix.clone(), last.clone());
            let page = self.order(move |objects, _| {
                let found = objects.iter().filter(|(key, _)| {
                    key.as_str().starts_with(&begins) && after.as_ref().is_none_or(|after| *key > after)
                });
                Ok(found.take(PAGE).map(|(key, object)| (key.clone(), object.clone())).collect::<Vec<_>>())
            });
            match page.await {
                Err(error) => Some((vec![Err(error)], (prefix, last, true))),
                Ok(page) => {
                    let last = page.last().map(|(key, _)| key.clone());
                    let ended = last.is_none();
                    let metas =
                        page.iter().map(|(key, (bytes, written))| Ok(self.meta(key, bytes, *written)));
                    Some((metas.collect(), (prefix, last, ended)))
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        let key = key.clone();
        self.order(move |objects, _| {
            objects.remove(&key);
            Ok(())
        })
        .await
    }
}

/// A process of this name on a machine of its own.
pub fn owner(name: &str) -> Owner {
    Owner { boot: Some(name.to_owned()), ..Owner::of_process(name) }
}

/// Runs a process until it ends or is killed, which drops everything it is doing; what it did is `None` then.
pub fn killed_after<T>(
    world: &World,
    life: Duration,
    process: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    let (process, death) = (Box::pin(process), world.clock.sleep(life));
    async move {
        match select(process, death).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

/// A process that is stopped now and then, as a laptop is when it is closed, and goes on as if nothing had been.
pub struct Freezing<F> {
    process: Pin<Box<F>>,
    world: World,
    /// How likely it freezes each time it would do something, and for how long at most.
    chance: f64,
    most: Duration,
    frozen: Option<Sleep>,
}

impl<F> Freezing<F> {
    pub fn new(world: &World, chance: f64, most: Duration, process: F) -> Self {
        Self { process: Box::pin(process), world: world.clone(), chance, most, frozen: None }
    }
}

impl<F: Future> Future for Freezing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.frozen.is_none() && this.world.draw(fastrand::Rng::f64) < this.chance {
            this.frozen = Some(this.world.clock.sleep(this.world.up_to(this.most)));
        }
        if let Some(sleep) = &mut this.frozen {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.frozen = None;
        }
        this.process.as_mut().poll(cx)
    }
}

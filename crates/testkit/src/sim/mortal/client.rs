//! One client of a durable job: it begins the job or attaches to it, or runs the program again, and is killed.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use rustwren_core::clock::Clock;
use rustwren_core::durable::{
    Entry, Heart, InputStore, JobId, Journal, Kind, Leadership, Manifest, Owner, ResumeFamily, Store, Taken,
    found, resume,
};
use rustwren_core::entry::{self, Call, Target};
use rustwren_core::error::{BackendError, Error, ErrorKind, Result};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invocation, Invoker, JobSpec, Limits, Reply};
use rustwren_core::scheduler::follow::{Begin, Follow, Takeover};
use rustwren_core::scheduler::outbox::{Delivery, Outbox};
use rustwren_core::scheduler::resumed::run_resumed;
use rustwren_core::scheduler::slots::Slots;
use rustwren_core::scheduler::{Commands, JobRun, Resources};

use super::book::Book;
use super::plan::{Keeping, Life};
use super::values::{source, values};
use crate::sim::clock::{SimClock, lock};
use crate::sim::executor::Spawner;
use crate::sim::invoker::SimInvoker;
use crate::sim::storage::SimStorage;
use crate::sim::work::{Outcome, Work, output_of};

/// Gives each attempt an output of its own, so that it shows whose result was taken.
struct Unlike {
    next: Arc<AtomicU64>,
    fails: Option<u64>,
}

impl Work for Unlike {
    fn attempt(&self, _: &JobSpec, index: u64, _: u32, input: &[u8]) -> Outcome {
        if self.fails.is_some_and(|divisor| index % divisor == divisor / 2) {
            return Outcome::Fails(TaskFailure::new(FailureKind::Returned, "as planned"));
        }
        let mut output = output_of(input);
        output.extend(self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        Outcome::Output(output)
    }
}

/// Checks that nothing is run whose outcome its client had to know.
#[derive(Debug)]
struct Guard {
    inner: SimInvoker,
    watch: Arc<Watch>,
}

struct Watch {
    book: Arc<Book>,
    client: usize,
    token: u64,
    known: tokio::sync::Mutex<Known>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("client", &self.client).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Known {
    journal: Option<Journal>,
    /// What was read so far.
    read: BTreeSet<u64>,
    /// What stood there when this client last took the lead, or began.
    had: BTreeSet<u64>,
}

impl Watch {
    /// Whether this client has taken the lead since the last look.
    async fn look(&self) -> bool {
        if self.book.plan.keeping == Keeping::Resume {
            return false;
        }
        let Some(id) = lock(&self.book.state).id.clone() else { return false };
        let mut known = self.known.lock().await;
        let mut journal = known.journal.take().unwrap_or_else(|| Journal::open(&self.book.store(), id));
        let mut leads = false;
        loop {
            match journal.read_next().await {
                Ok(Some(logged)) => {
                    known.read.extend(self.book.outcomes(&logged).iter().map(|(index, _)| *index));
                    if matches!(&logged.entry, Entry::Lead(lead) if lead.owner.token == self.token) {
                        let Known { had, read, .. } = &mut *known;
                        had.clone_from(read);
                        leads = true;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.book.violation(format!("the journal cannot be read: {error}"));
                    break;
                }
            }
        }
        known.journal = Some(journal);
        leads
    }
}

#[async_trait]
impl Invoker for Guard {
    fn limits(&self) -> &Limits {
        self.inner.limits()
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let Watch { book, client, .. } = &*self.watch;
        if self.watch.look().await {
            // What was charged and reported before is no longer known to the scheduler.
            let ledger = self.inner.ledger();
            lock(&ledger).forget(&invocation.job.id, &book.plan.options);
        }
        lock(&book.state).invocations += 1;
        let elements = invocation.first..invocation.first + u64::from(invocation.count);
        book.note(|| format!("client {client} runs {elements:?}"));
        let again: Vec<u64> = {
            let known = self.watch.known.lock().await;
            known.had.range(elements).copied().collect()
        };
        if !again.is_empty() {
            book.violation(format!("client {client} runs {again:?}, which are recorded"));
        }
        self.inner.invoke(invocation, events).await
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.inner.invoke_detached(invocation).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

/// Every client can drive.
struct Any(Arc<JobSpec>);

#[async_trait]
impl Takeover for Any {
    async fn take_over(&self) -> Result<Option<Arc<JobSpec>>> {
        Ok(Some(Arc::clone(&self.0)))
    }
}

struct Client {
    book: Arc<Book>,
    number: usize,
    clock: SimClock,
    store: Store,
    resources: Resources,
    owner: Owner,
    watch: Arc<Watch>,
    outbox: Outbox,
}

/// Spawns a client and what becomes of it.
pub(super) fn spawn(spawner: &Spawner, clock: &SimClock, book: &Arc<Book>, number: usize, life: &Life) {
    let (life, book, clock) = (life.clone(), Arc::clone(book), clock.clone());
    let inner = spawner.clone();
    spawner.spawn(format!("client {number}"), async move {
        clock.sleep(life.begins).await;
        book.note(|| format!("client {number} begins"));
        let client = Arc::new(Client::new(&book, &clock, &inner, number, &life));
        let outbox = client.outbox.clone();
        let ledger = Arc::clone(&client.watch);
        let work = {
            let client = Arc::clone(&client);
            let life = life.clone();
            Box::pin(async move { client.live(&life).await })
        };
        let dies = match life.lives {
            Some(lives) => clock.sleep(lives),
            None => Box::pin(std::future::pending()),
        };
        let mut work = match select(work, dies).await {
            Either::Left(((), _)) => {
                book.note(|| format!("client {number} is through"));
                return;
            }
            Either::Right(((), work)) => work,
        };
        lock(&book.state).killed += 1;
        if life.leaves {
            book.note(|| format!("client {number} leaves"));
            outbox.commands().leave();
            // A moment for its last results.
            select(&mut work, clock.sleep(Duration::from_secs(3))).await;
        }
        book.note(|| format!("client {number} is killed"));
        drop(work);
        let founder = &mut lock(&book.state).founder;
        *founder = founder.filter(|founder| *founder != number);
        drop((client, ledger));
    });
}

impl Client {
    fn new(book: &Arc<Book>, clock: &SimClock, spawner: &Spawner, number: usize, life: &Life) -> Self {
        let plan = &book.plan;
        let seed = plan.seed.wrapping_add(1 + number as u64);
        let storage = Arc::new(SimStorage::new(book.objects.clone(), clock.clone(), life.faults, seed));
        let work = Unlike { next: Arc::new(AtomicU64::new((number as u64) << 32)), fails: plan.fails };
        let trace = lock(&book.state).trace.is_some();
        let provider = plan.provider.clone();
        // What workers read and write goes right.
        let objects = Arc::new(book.objects.clone());
        let inner = SimInvoker::new(provider, work, clock.clone(), spawner.clone(), objects, seed, trace);
        let owner = Owner {
            host: format!("client-{number}"),
            pid: 1,
            started: None,
            boot: None,
            pid_namespace: None,
            program: "simulated".to_owned(),
            token: number as u64,
        };
        let watch = Arc::new(Watch {
            book: Arc::clone(book),
            client: number,
            token: owner.token,
            known: tokio::sync::Mutex::default(),
        });
        let slots = Slots::new(inner.limits());
        let invoker = Arc::new(Guard { inner, watch: Arc::clone(&watch) });
        let resources =
            Resources { invoker, storage: storage.clone(), clock: Arc::new(clock.clone()), slots };
        let store = Store::new(storage, Arc::new(clock.clone()));
        let outbox = Outbox::new(Commands::default(), plan.options.result_buffer);
        let (book, clock) = (Arc::clone(book), clock.clone());
        Self { book, number, clock, store, resources, owner, watch, outbox }
    }

    /// Does all that a client does, side by side.
    async fn live(&self, life: &Life) {
        let collecting = Box::pin(self.collect(life));
        let working = Box::pin(async {
            if let Err(error) = self.work().await {
                self.outbox.finish(Err(error));
            }
        });
        let cancelling = Box::pin(async {
            if let Some(at) = life.cancels {
                self.clock.sleep(at).await;
                if self.outbox.end().is_none() {
                    self.book.note(|| format!("client {} cancels", self.number));
                    lock(&self.book.state).cancelled = true;
                    self.outbox.commands().cancel();
                }
            }
        });
        // Whoever has seen the end goes.
        let rest = futures_util::future::join(working, cancelling);
        match select(collecting, Box::pin(rest)).await {
            Either::Left(_) => {}
            Either::Right((_, collecting)) => collecting.await,
        }
    }

    async fn work(&self) -> Result<()> {
        match self.book.plan.keeping {
            Keeping::Durable => self.durable().await,
            Keeping::Resume => self.resumed().await,
        }
    }

    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    fn spec(&self, id: &JobId) -> JobSpec {
        let target = Target::Named { name: "simulated".to_owned(), call: Call::Map };
        JobSpec {
            id: id.to_string(),
            label: "job".to_owned(),
            entry: entry::Entry { image: ImageId([0; 32]), target },
            shared: None,
            task_timeout: None,
            concurrency: 1,
        }
    }

    async fn durable(&self) -> Result<()> {
        let plan = &self.book.plan;
        let (manifest, begin) = loop {
            let (known, was_free) = {
                let state = lock(&self.book.state);
                (state.id.clone(), state.founder.is_none())
            };
            if let Some(id) = &known
                && let Some(manifest) = Manifest::read_opt(&self.store, id).await?
            {
                break (manifest, Begin::Viewing);
            }
            let is_free = {
                let mut state = lock(&self.book.state);
                // Another may have begun one since the last look, or have finished beginning it during that.
                let is_free = was_free && state.founder.is_none() && state.id == known;
                if is_free {
                    state.founder = Some(self.number);
                }
                is_free
            };
            if is_free {
                let founded = self.found().await;
                lock(&self.book.state).founder = None;
                let (manifest, leadership) = founded?;
                break (manifest, Begin::Driving(leadership));
            }
            self.clock.sleep(Duration::from_millis(50)).await;
        };
        self.book.note(|| format!("client {} follows {}, {begin:?}", self.number, manifest.id));
        let follow = Follow {
            takeover: Box::new(Any(Arc::new(manifest.spec()))),
            manifest,
            resources: self.resources.clone(),
            options: plan.options.clone(),
            outbox: self.outbox.clone(),
            owner: self.owner.clone(),
            lease: plan.lease,
        };
        if let Some(leadership) = follow.run(begin).await {
            self.stop(&leadership).await;
        }
        Ok(())
    }

    async fn found(&self) -> Result<(Manifest, Leadership)> {
        let plan = &self.book.plan;
        let id = JobId::new(format!("job-{}", self.number))?;
        lock(&self.book.state).id = Some(id.clone());
        let heart = Heart::start(&self.store, &id, self.owner.clone(), plan.lease, None).await?;
        let founding = Box::pin(async {
            let spec = self.spec(&id);
            let mut manifest = Manifest::new(&spec, Kind::Durable, &plan.options, "output", "program")?;
            manifest.inputs =
                Some(InputStore::new(&self.store, &id).write(Box::new(source(plan)), |_| {}).await?);
            // From here on others may find it.
            let taken = found(&self.store, &manifest, Arc::clone(&heart)).await?;
            match taken {
                Taken::Leading(leadership) => Ok((manifest, leadership)),
                Taken::Other(_) => Err(Error::new(ErrorKind::Unavailable, "another was first")),
            }
        });
        let beating = Box::pin(async {
            loop {
                heart.next_sign().await;
            }
        });
        let founded = match select(founding, beating).await {
            Either::Left((founded, _)) => founded?,
            Either::Right((never, _)) => match never {},
        };
        Ok(founded)
    }

    async fn resumed(&self) -> Result<()> {
        let plan = &self.book.plan;
        let committed = self.book.committed().await;
        self.watch.known.lock().await.had = committed;
        let bare = self.spec(&JobId::new("family")?);
        let family = ResumeFamily::new(bare.entry.image, &bare.entry.target, None)?;
        let begun = resume(&self.store, &family, &self.owner, plan.lease, |id| {
            Manifest::new(&self.spec(id), Kind::Resume, &plan.options, "output", "program")
        });
        let begun = begun.await?;
        self.book.note(|| {
            let (id, had) = (&begun.manifest.id, begun.committed.len());
            format!("client {} drives {id}, {had} results are known", self.number)
        });
        let spec = Arc::new(self.spec(&begun.manifest.id));
        let run = JobRun::new(
            spec,
            plan.options.clone(),
            Box::new(source(plan)),
            self.outbox.clone(),
            self.resources.clone(),
        );
        let run = run.resumed(begun.leadership, begun.committed).with_capsules("program");
        run_resumed(run, self.outbox.clone(), "job").await;
        Ok(())
    }

    async fn stop(&self, leadership: &Leadership) {
        if let Err(error) = leadership.heart().stop().await {
            self.book.note(|| format!("client {}: {error}", self.number));
        }
    }

    /// Takes everything, and writes it into the book.
    async fn collect(&self, life: &Life) {
        if life.holds_all {
            self.outbox.hold_all();
        }
        let mut got = BTreeSet::new();
        let end = loop {
            let delivery = match poll_fn(|cx| self.next(cx)).await {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            };
            self.clock.sleep(life.looks).await;
            for (index, value) in values(&delivery) {
                if !got.insert(index) {
                    self.book.violation(format!("client {} is told of element {index} twice", self.number));
                }
                self.book.seen(self.number, index, value);
            }
            self.outbox.release(delivery.weight());
        };
        self.book.note(|| format!("client {} sees the end: {end:?}", self.number));
        let plan = &self.book.plan;
        if end.is_ok() && got.len() as u64 != plan.size {
            let what = format!("client {} saw {} of {} elements", self.number, got.len(), plan.size);
            self.book.violation(what);
        }
        let progress = self.outbox.progress();
        if progress.finished() != got.len() as u64 && end.is_ok() {
            self.book.violation(format!("{progress:?} when {} elements were told", got.len()));
        }
        self.book.ended(self.number, end);
    }

    fn next(&self, cx: &Context<'_>) -> Poll<Option<Result<Delivery>>> {
        self.outbox.poll_next(cx)
    }
}

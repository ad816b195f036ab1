//! From a builder to a job under way: plain, durable, detached, or resumed by content.

use std::any::type_name;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::builder::MapBuilder;
use super::feeder::Fed;
use super::feeding::Feeding;
use super::handle::Executor;
use super::job::Job;
use super::open::{Opened, open};
use super::order;
use super::takeover::Own;
use crate::durable::{
    Heart, InputStore, JobId, Kind, Leadership, Manifest, ResumeFamily, Sign, Store, Taken, found, resume,
};
use crate::entry::Entry;
use crate::error::{Error, ErrorKind, Result};
use crate::invoker::{JobSpec, Payload};
use crate::scheduler::follow::{Begin, Follow};
use crate::scheduler::input::InputSource;
use crate::scheduler::resumed::run_resumed;
use crate::scheduler::{JobOptions, JobRun, Signs};
use crate::storage::{Key, StorageExt};

/// What of a job outlives the program that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Keeps {
    /// Nothing: the job ends with the program.
    #[default]
    Nothing,
    /// Its results. The same program run again goes on with the rest. See [`MapBuilder::resume`].
    Results,
    /// Everything: whoever attaches to it goes on with the rest. See [`MapBuilder::durable`].
    Everything,
}

/// A job whose parts are all decided.
pub(super) struct Plan {
    pub(super) executor: Executor,
    pub(super) label: String,
    pub(super) entry: Entry,
    pub(super) shared: Option<Bytes>,
    pub(super) task_timeout: Option<std::time::Duration>,
    pub(super) concurrency: u32,
    pub(super) options: JobOptions,
    pub(super) source: Box<dyn InputSource>,
    /// The name of the type of its outputs.
    pub(super) output: &'static str,
}

impl Plan {
    fn spec(&self, id: &JobId, shared: Option<Payload>) -> JobSpec {
        JobSpec {
            id: id.to_string(),
            label: self.label.clone(),
            entry: self.entry.clone(),
            shared,
            task_timeout: self.task_timeout,
            concurrency: self.concurrency,
        }
    }

    /// Starts a job that ends with this program.
    pub(super) async fn connected<O>(self) -> Result<Job<O>> {
        let executor = self.executor.clone();
        Ok(self.begun(None).await?.job(executor))
    }

    /// Starts a job that another one takes its inputs from.
    pub(super) async fn feeding(self) -> Result<Feeding> {
        let (needed, hold) = oneshot::channel();
        let (running, over) = oneshot::channel();
        let opened = self.begun(Some((hold, running))).await?;
        Ok(Feeding::new(opened.handle(), needed, over))
    }

    /// Starts a job that ends with this program. Where somebody needs what workers store of it, that stays until
    /// `hold` ends; the other end of a pair is dropped when nothing is left of the job.
    async fn begun(
        self,
        feeds: Option<(oneshot::Receiver<Infallible>, oneshot::Sender<Infallible>)>,
    ) -> Result<Opened> {
        let executor = self.executor.clone();
        let inner = &executor.inner;
        let id = inner.next_job_id();
        let signs = Signs::new(&inner.store(), id.clone(), inner.owner(), inner.lease(), self.entry.image);
        let inline = inner.resources.invoker.limits().max_inline_input;
        let shared = match self.shared.clone() {
            // What a job carries to each worker leaves room for that worker's first inputs.
            Some(bytes) if bytes.len() > inline / 2 => {
                let signs = signs.clone();
                Some(inner.driver.run(async move { place_shared(&signs, bytes).await }).await??)
            }
            shared => shared.map(|bytes| Payload::Inline(vec![bytes])),
        };
        let spec = Arc::new(self.spec(&id, shared));
        let opened = open(&executor, &id, &self.label, self.options.result_buffer, Keeps::Nothing);
        let (outbox, resources) = (opened.outbox(), inner.resources.clone());
        let mut run = JobRun::new(spec, self.options, self.source, outbox, resources).kept(signs);
        // Where nothing outlives this process there is nobody to run a failed task again.
        if inner.resources.storage.is_durable() {
            run = run.with_capsules(&inner.program.path());
        }
        match feeds {
            None => inner.driver.spawn(run),
            Some((hold, running)) => {
                let run = run.held(hold);
                inner.driver.spawn_kept(async move {
                    run.await;
                    drop(running);
                });
            }
        }
        Ok(opened)
    }

    /// Starts a job that is kept in storage and driven from here.
    pub(super) async fn durable<O>(self) -> Result<Job<O>> {
        let executor = self.executor.clone();
        let (label, options) = (self.label.clone(), self.options.clone());
        let (manifest, leadership) = self.found(Kind::Durable).await?;
        let inner = &executor.inner;
        let opened = open(&executor, &manifest.id, &label, options.result_buffer, Keeps::Everything);
        let follow = Follow {
            resources: inner.resources.clone(),
            options,
            outbox: opened.outbox(),
            owner: leadership.lead().owner.clone(),
            lease: inner.lease(),
            takeover: Box::new(Own::here(manifest.spec())),
            manifest,
        };
        inner.driver.spawn_kept(follow.run_to_end(Begin::Driving(leadership)));
        Ok(opened.job(executor))
    }

    /// Starts a job that is kept in storage and driven by a process of the provider's.
    pub(super) async fn detached(self) -> Result<String> {
        let executor = self.executor.clone();
        let inner = &executor.inner;
        let (manifest, leadership) = self.found(Kind::Detached).await?;
        let (invoker, carried) = (Arc::clone(&inner.resources.invoker), inner.carried.clone());
        let id = manifest.id.to_string();
        inner
            .driver
            .run(async move { order::hand_over(&*invoker, &manifest, &carried, leadership.heart()).await })
            .await??;
        Ok(id)
    }

    /// Starts a job whose results are kept by what its inputs are.
    pub(super) async fn resumed<O>(self) -> Result<Job<O>> {
        let executor = self.executor.clone();
        let inner = &executor.inner;
        let family = ResumeFamily::new(self.entry.image, &self.entry.target, self.shared.as_deref())?;
        let (store, owner, lease) = (inner.store(), inner.owner(), inner.lease());
        let (program, output, options) = (inner.program.path(), self.output, self.options.clone());
        // The shared value is not the manifest's: the program brings it along each time.
        let bare = self.spec(&inner.next_job_id(), None);
        let begun = inner.driver.run(async move {
            let manifest = |id: &JobId| {
                let spec = JobSpec { id: id.to_string(), ..bare.clone() };
                Manifest::new(&spec, Kind::Resume, &options, output, &program)
            };
            resume(&store, &family, &owner, lease, manifest).await
        });
        let resumed = begun.await?.map_err(|error| error.context("earlier results cannot be looked up"))?;
        let id = resumed.manifest.id.clone();
        let inline = inner.resources.invoker.limits().max_inline_input;
        let (leadership, shared) = match self.shared.clone() {
            Some(bytes) if bytes.len() > inline / 2 => {
                let (store, id, leadership) = (inner.store(), id.clone(), resumed.leadership);
                let placing = async move {
                    let placed = beating(leadership.heart(), put_shared(&store, &id, bytes)).await;
                    placed.map(|shared| (leadership, Some(shared)))
                };
                inner.driver.run(placing).await??
            }
            shared => (resumed.leadership, shared.map(|bytes| Payload::Inline(vec![bytes]))),
        };
        let spec = Arc::new(self.spec(&id, shared));
        let opened = open(&executor, &id, &self.label, self.options.result_buffer, Keeps::Results);
        let (outbox, resources) = (opened.outbox(), inner.resources.clone());
        let run = JobRun::new(spec, self.options, self.source, outbox.clone(), resources)
            .resumed(leadership, resumed.committed)
            .with_capsules(&inner.program.path());
        let label = self.label;
        inner.driver.spawn_kept(async move { run_resumed(run, outbox, &label).await });
        Ok(opened.job(executor))
    }

    /// Puts a job into storage, with all its inputs, and takes its lead.
    async fn found(self, kind: Kind) -> Result<(Manifest, Leadership)> {
        let inner = Arc::clone(&self.executor.inner);
        let id = inner.next_job_id();
        let (store, owner, lease) = (inner.store(), inner.owner(), inner.lease());
        let program = inner.program.path();
        if !inner.resources.storage.is_durable() {
            let place = inner.resources.storage.location();
            tracing::warn!("job {id} is kept in {place}, which does not outlive this program");
        }
        let label = self.label.clone();
        let founding = async move {
            let heart = Heart::start(&store, &id, owner, lease, Some(self.entry.image)).await?;
            let making = async {
                let shared = match self.shared.clone() {
                    Some(bytes) => Some(put_shared(&store, &id, bytes).await?),
                    None => None,
                };
                let spec = self.spec(&id, shared);
                let mut manifest = Manifest::new(&spec, kind, &self.options, self.output, &program)?;
                manifest.inputs = Some(InputStore::new(&store, &id).write(self.source, |_| {}).await?);
                match found(&store, &manifest, Arc::clone(&heart)).await? {
                    Taken::Leading(leadership) => Ok((manifest, leadership)),
                    Taken::Other(_) => Err(Error::new(
                        ErrorKind::Unavailable,
                        "another process took it over before it had begun; it goes on there",
                    )
                    .with_hint(format!("`rustwren jobs attach {id}`"))),
                }
            };
            let made = beating(&heart, making).await;
            // A job that another process drives is no longer this one's to take away.
            if let Err(error) = &made
                && error.kind() != ErrorKind::Unavailable
            {
                if let Err(error) = store.storage().delete_prefix(&id.prefix()).await {
                    tracing::warn!(job = %id, %error, "what was stored of a job that did not begin stays");
                }
                heart.leave().await;
            }
            made
        };
        inner
            .driver
            .run(founding)
            .await?
            .map_err(|error: Error| error.context(&format!("job {label} could not be stored")))
    }
}

/// Does something while signs of life are given.
pub(super) async fn beating<T>(heart: &Heart, work: impl Future<Output = Result<T>>) -> Result<T> {
    use futures_util::future::{Either, select};
    let mut work = Box::pin(work);
    loop {
        match select(work, Box::pin(heart.next_sign())).await {
            Either::Left((done, _)) => return done,
            Either::Right((Sign::Removed, _)) => {
                let message = format!("job {} was removed from the storage while it was begun", heart.id());
                return Err(Error::new(ErrorKind::Cancelled, message).with_hint("run it again"));
            }
            // Whoever wants it cancelled, or drives it, will be met in the journal.
            Either::Right((Sign::Cancel | Sign::Deposed(_), rest)) => work = rest,
        }
    }
}

async fn place_shared(signs: &Signs, bytes: Bytes) -> Result<Payload> {
    signs.given().await.map_err(not_stored)?;
    put_shared(signs.store(), signs.id(), bytes).await
}

/// The shared value as an object of its own.
async fn put_shared(store: &Store, id: &JobId, bytes: Bytes) -> Result<Payload> {
    let (key, len): (Key, u64) = (id.shared_key()?, bytes.len() as u64);
    store.storage().put(&key, bytes).await.map_err(|error| not_stored(error.into()))?;
    Ok(Payload::Stored { key: key.to_string(), offset: 0, len })
}

fn not_stored(error: Error) -> Error {
    error.context("the shared value could not be stored")
}

impl<O> MapBuilder<O> {
    /// Starts the job and returns at once; it runs whether or not the [`Job`] is looked at, until its result
    /// buffer is full.
    ///
    /// Of a [`durable`](Self::durable) job all inputs are stored first.
    pub async fn spawn(self) -> Result<Job<O>> {
        let keeps = self.keeps()?;
        let plan = self.plan(keeps != Keeps::Nothing).await?;
        match keeps {
            Keeps::Nothing => plan.connected().await,
            Keeps::Results => plan.resumed().await,
            Keeps::Everything => plan.durable().await,
        }
    }

    /// Starts a job whose outputs another job takes.
    pub(super) async fn feed(self) -> Result<Feeding> {
        self.plan(false).await?.feeding().await
    }

    /// Hands the job over to the provider and returns its id; it runs whatever becomes of this program. Any program that
    /// has the storage can [attach](Executor::attach) to it, on any machine.
    ///
    /// All inputs are stored first. The job is driven by a function process of this program, which runs on the provider
    /// and goes on in another one when its time is up.
    pub async fn detach(self) -> Result<String> {
        let builder = self.durable();
        builder.keeps()?;
        builder.plan(true).await?.detached().await
    }

    async fn plan(self, stored: bool) -> Result<Plan> {
        let (executor, parts) = self.into_parts()?;
        let inner = Arc::clone(&executor.inner);
        let limits = inner.resources.invoker.limits();
        parts.options.budget.check(limits, parts.task_timeout, &parts.label)?;
        let image = inner.program.prepare(limits, &inner.resources.storage, &inner.driver, stored).await?;
        let entry = inner.program.entry(&parts.described, image)?;
        let source: Box<dyn InputSource> = match parts.source {
            super::builder::Source::Typed(inputs) => Box::new(Fed::start(inputs)?),
            super::builder::Source::Encoded(source) => source,
        };
        Ok(Plan {
            executor,
            label: parts.label,
            entry,
            shared: parts.shared.map(Bytes::from),
            task_timeout: parts.task_timeout,
            concurrency: parts.concurrency,
            options: parts.options,
            source,
            output: type_name::<O>(),
        })
    }
}

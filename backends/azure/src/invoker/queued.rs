//! Invocations as messages of a storage queue, with their answers in storage: see [`rustwren_core::protocol::queued`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, LogLine, Reply, ResultBatch};
use rustwren_core::protocol::listener::Listener;
use rustwren_core::protocol::queued::{Place, Queued as Message};
use rustwren_core::protocol::{answer, invocation};
use rustwren_core::storage::Storage;
use tokio::sync::OnceCell;

use super::watch::{End, Watch};
use crate::client::Access;
use crate::config::{ComputeConfig, Trigger};
use crate::queue::{MAX_BODY, Queue, SendOptions};

/// Inputs inside a message: three quarters of it are left by base64, and the job has to be named in it too.
pub(super) const MAX_INLINE_INPUT: usize = 24 << 10;
/// How long a message may wait for a worker. Its client has given up long before.
const KEEP: Duration = Duration::from_hours(24);

/// Events of an invocation whose beginning is seen twice: when it is taken, and in its answer.
struct StartedOnce {
    events: Arc<dyn Events>,
    told: AtomicBool,
}

impl StartedOnce {
    fn new(events: &Arc<dyn Events>) -> Self {
        Self { events: Arc::clone(events), told: AtomicBool::new(false) }
    }
}

impl Events for StartedOnce {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        self.events.results(invocation, batch);
    }

    fn started(&self, invocation: u64) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.events.started(invocation);
        }
    }

    fn alive(&self, invocation: u64) {
        self.events.alive(invocation);
    }

    fn log(&self, invocation: u64, line: LogLine) {
        self.events.log(invocation, line);
    }
}

/// The queue, and who waits for answers.
pub(super) struct Queued {
    name: String,
    access: Access,
    storage: Arc<dyn Storage>,
    /// What it is when there can be no queue: jobs by calls do without, but for detached ones.
    without: ErrorClass,
    /// Opened with the first message, on the runtime that serves it.
    queues: OnceCell<(Queue, Watch)>,
}

impl Queued {
    pub(super) fn new(config: &ComputeConfig, storage: Arc<dyn Storage>) -> Self {
        let (name, access) = (config.queue.clone(), config.access.clone());
        let without = match config.trigger {
            Trigger::Http => ErrorClass::Invalid,
            Trigger::Queue => ErrorClass::Misconfigured,
        };
        Self { name, access, storage, without, queues: OnceCell::new() }
    }

    async fn queues(&self) -> Result<&(Queue, Watch), BackendError> {
        self.queues
            .get_or_try_init(|| async {
                let open = |name: &str| {
                    Queue::open(&self.access, name).map_err(|error| {
                        let told = BackendError::new(self.without, error.message());
                        told.with_optional_hint(error.hint())
                    })
                };
                let poison = open(&format!("{}-poison", self.name))?;
                let watch = Watch::start(Arc::clone(&self.storage), poison);
                Ok((open(&self.name)?, watch))
            })
            .await
    }

    /// Has an invocation run, and waits for its answer.
    pub(super) async fn invoke(
        &self,
        invocation: Invocation,
        events: &Arc<dyn Events>,
    ) -> Result<Reply, BackendError> {
        let (queue, watch) = self.queues().await?;
        let id = invocation.id;
        let events: &Arc<dyn Events> = &(Arc::new(StartedOnce::new(events)) as _);
        let place = Place::new(&invocation.job.id, fastrand::u64(..));
        // Before it is sent: what is dropped in between is taken back.
        let waiting = watch.wait_for(&place, id, events)?;
        self.send(queue, invocation, &place, true).await?;
        let end = waiting.end().await;
        match end {
            End::Answer(bytes) => {
                let mut listener = Listener::new(id, events);
                let heard = listener.hear(&bytes);
                self.remove(&place).await;
                heard?;
                listener.end()
            }
            End::Poisoned => {
                self.remove(&place).await;
                let message = format!(
                    "no worker could run an invocation of {}: after several tries it was declared poison",
                    queue.location()
                );
                Err(BackendError::new(ErrorClass::WorkerCrashed, message).with_hint(
                    "the app's log says why its function fails; does the runtime belong to this program?",
                ))
            }
            End::Down => Err(BackendError::new(ErrorClass::Cancelled, "the invoker was shut down")),
            End::Lost(error) => Err(error),
        }
    }

    /// Has an invocation run that nobody waits for.
    pub(super) async fn send_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        let (queue, _) = self.queues().await?;
        let place = Place::new(&invocation.job.id, fastrand::u64(..));
        self.send(queue, invocation, &place, false).await
    }

    async fn send(
        &self,
        queue: &Queue,
        invocation: Invocation,
        place: &Place,
        answered: bool,
    ) -> Result<(), BackendError> {
        let failed = |error| {
            BackendError::new(ErrorClass::Internal, "an invocation cannot be encoded").with_source(error)
        };
        let bytes = invocation::encode(&invocation).map_err(failed)?;
        // The scheduler has the inputs; nothing here needs them while they are under way.
        drop(invocation);
        let mut message = Message { place: place.clone(), answered, invocation: Some(bytes) };
        let mut text = message.to_json().map_err(failed)?;
        if text.len() > MAX_BODY {
            let bytes = message.invocation.take().unwrap_or_default();
            self.storage.put(&place.invocation()?, Bytes::from(bytes)).await?;
            text = message.to_json().map_err(failed)?;
        }
        queue.send(&text, SendOptions { keep: Some(KEEP), ..SendOptions::default() }).await
    }

    /// Removes what is of no use any more. What stays goes with the job.
    async fn remove(&self, place: &Place) {
        for key in [place.taken(), place.answer(), place.invocation()].into_iter().flatten() {
            if let Err(error) = self.storage.delete(&key).await {
                tracing::debug!(%error, %key, "an object of a queued invocation stays");
            }
        }
    }

    pub(super) async fn shutdown(&self) {
        if let Some((_, watch)) = self.queues.get() {
            watch.shutdown().await;
        }
    }
}

/// The answer of a client that wants none any more.
pub(super) fn cancelled() -> Bytes {
    let mut bytes = answer::PREAMBLE.to_vec();
    let error = BackendError::new(ErrorClass::Cancelled, "its client does not wait for it any more");
    answer::Answer::append_refused(&mut bytes, &error);
    bytes.into()
}

//! What a runtime process does with an invocation, whatever front end it came by.
//!
//! A [`Host`] has the storage, the images on its disk and one warm [`Pool`](crate::Pool) for each image it was asked
//! for lately. It tells the client what happens through [`Events`], as an invoker does, and keeps results that are too
//! large for the answer in storage. [`AnswerStream`] and [`Host::answer`] make bytes of that
//! (`rustwren_core::protocol::answer`).

mod answer;
mod carrier;
mod heard;
mod jobs;
mod warm;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren_core::clock::TokioClock;
use rustwren_core::durable::{JobId, Store};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::image::{ImageId, image_key};
use rustwren_core::invoker::{Events, Invocation, JobSpec, LogLine, Reply};
use rustwren_core::storage::Storage;

use answer::AnswerPipe;
pub use answer::AnswerStream;
use carrier::Carrier;
use heard::Heard;
use warm::Warms;

use crate::image_cache::{CachedImage, ImageCache};
use crate::life::Life;
use crate::options::PoolOptions;

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// How function processes are run. Program and image are replaced by those of each invocation.
    pub pool: PoolOptions,
    /// Where unpacked images lie.
    pub images: ImageCache,
    /// How many images keep their processes warm; at least 1. Images in use are kept beyond that.
    pub warm_images: usize,
    /// The processes of an image that was not used for so long are ended by [`Host::sweep`].
    pub idle: Duration,
}

/// How much the answer to one invocation can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of results that travel in the answer. Further ones are stored, and the answer says where, in some 100 bytes
    /// for each element.
    pub inline: usize,
    /// Bytes of results, with what stands for stored ones, that the answer can have at all. What does not fit is
    /// not reported, and so handed back.
    pub most: usize,
    /// Bytes of output of tasks. The rest is dropped, and a line says so.
    pub log: usize,
}

impl Room {
    /// That of an answer that is read while it is written.
    pub const STREAM: Self = Self { inline: usize::MAX, most: usize::MAX, log: usize::MAX };

    /// That of an answer in one body of at most so many bytes: three quarters of it are for results that travel inline,
    /// a sixteenth for output of tasks.
    pub const fn body(bytes: usize) -> Self {
        Self { inline: bytes / 4 * 3, most: bytes / 16 * 14, log: bytes / 16 }
    }
}

/// Runs invocations of any program in this process's storage. Must be used inside a tokio runtime with time and I/O
/// enabled.
#[derive(Debug)]
pub struct Host {
    options: HostOptions,
    store: Store,
    warm: Warms,
    log: Option<Log>,
}

/// Hears what tasks write: the job, its invocation's first element, and what was written.
pub type Log = fn(&JobSpec, u64, &LogLine);

impl Host {
    /// A host that has started nothing yet. Images, inputs and shared values are read from `storage`, and results
    /// written to it.
    pub fn new(options: HostOptions, storage: Arc<dyn Storage>) -> Self {
        let store = Store::new(storage, Arc::new(TokioClock::new()));
        let warm = Warms::new(options.warm_images, options.idle);
        Self { options, store, warm, log: None }
    }

    /// Has everything that tasks write heard by `log` as well, whether or not an answer has room for it.
    pub fn heard_by(mut self, log: Log) -> Self {
        self.log = Some(log);
        self
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        self.store.storage()
    }

    /// Runs an invocation: `Invoker::invoke` with a limited life and limited room for the answer. Dropping the future
    /// cancels it. Results are in `events` alone when this returns, and not in the reply.
    pub async fn invoke(
        &self,
        mut invocation: Invocation,
        life: Life,
        room: Room,
        events: &Arc<dyn Events>,
    ) -> Result<Reply, BackendError> {
        let begun = Instant::now();
        let job = JobId::new(invocation.job.id.as_str()).map_err(|error| {
            BackendError::new(ErrorClass::Invalid, format!("an invocation's job: {}", error.message()))
        })?;
        let image = invocation.job.entry.image;
        let warm = self.warm.of(image)?;
        let pool = tokio::select! {
            pool = warm.pool(|| self.image(image), &self.options.pool, self.storage()) => pool?,
            error = self.warm.about_to_end() => return Err(error),
        };
        let fetched = begun.elapsed();
        invocation.job = warm.job(invocation.job);
        let store_above = invocation.passing.store_above;
        let carrier = Carrier::new(invocation.id, job, room, store_above, events);
        let mut sink: Arc<dyn Events> = Arc::clone(&carrier) as _;
        if let Some(log) = self.log {
            sink = Arc::new(Heard {
                log,
                job: Arc::clone(&invocation.job),
                first: invocation.first,
                events: sink,
            });
        }
        let mut reply = carrier.carry(&self.store, pool.invoke_for(life, invocation, &sink)).await?;
        reply.usage.fetch += fetched;
        Ok(reply)
    }

    /// The same, and the answer as one body.
    pub async fn answer(&self, invocation: Invocation, life: Life, room: Room) -> Vec<u8> {
        let pipe = AnswerPipe::new();
        let events: Arc<dyn Events> = Arc::clone(&pipe) as _;
        let outcome = self.invoke(invocation, life, room, &events).await;
        pipe.finish(outcome);
        pipe.take()
    }

    async fn image(&self, image: ImageId) -> Result<CachedImage, BackendError> {
        let cached = self.options.images.ensure(&**self.storage(), image, &image_key(image)?).await;
        cached.map_err(|error| match error.class() {
            ErrorClass::NotFound => {
                let location = self.storage().location();
                let message = format!("the worker does not find the program (image {image}) in {location}");
                BackendError::new(ErrorClass::NotFound, message)
                    .with_source(error)
                    .with_hint("client and workers must use the same [storage]")
            }
            _ => error,
        })
    }

    /// Ends the processes of images that were not used lately.
    pub fn sweep(&self) {
        self.warm.expire(Instant::now());
    }

    /// Begins no more elements, of any invocation, and gives those that run until then. What is finished is handed
    /// back with the reply of each invocation, and nobody is blamed for the rest. New invocations are refused as
    /// [`ErrorClass::Transient`].
    pub fn wind_down(&self, until: Instant) {
        self.warm.wind_down(until);
    }

    /// Ends all processes. Invocations under way are cancelled.
    pub fn shutdown(&self) {
        self.warm.clear();
    }
}

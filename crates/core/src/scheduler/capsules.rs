//! Elements that have failed for good, on their way into storage, from where `rustwren repro` takes them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::run::internal;
use super::signs::Signs;
use crate::clock::Clock;
use crate::durable::{Capsules, MAX_CAPSULE_BYTES, MAX_CAPSULES, Store};
use crate::error::{Error, ErrorKind};
use crate::failure::TaskError;
use crate::invoker::JobSpec;
use crate::protocol::references::{Place, Referred};
use crate::storage::Key;

/// How long a failure may wait for its capsule: it is told without one rather than late.
const PATIENCE: Duration = Duration::from_secs(10);

/// A failed element and the body of its input record.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: TaskError,
    pub(super) input: Bytes,
}

/// Keeps capsules of a job one after the other.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    writer: Option<Writer>,
    writing: bool,
    waiting: VecDeque<Failed>,
    taken: usize,
    taken_bytes: u64,
}

/// Writes a job's capsules.
pub(super) struct Writer {
    capsules: Capsules,
    signs: Signs,
    spec: Arc<JobSpec>,
    clock: Arc<dyn Clock>,
    /// Whether inputs are referring records: what they refer to goes when the job has ended, so it is kept instead.
    refers: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("job", self.signs.id()).finish_non_exhaustive()
    }
}

impl Keeping {
    pub(super) fn new(
        signs: &Signs,
        spec: &Arc<JobSpec>,
        program: &str,
        clock: &Arc<dyn Clock>,
        refers: bool,
    ) -> Self {
        let writer = Writer {
            capsules: Capsules::new(signs.store(), signs.id(), program),
            signs: signs.clone(),
            spec: Arc::clone(spec),
            clock: Arc::clone(clock),
            refers,
        };
        Self { writer: Some(writer), ..Self::default() }
    }

    /// Takes a failure; hands it back if it is not to be kept.
    pub(super) fn take(&mut self, failed: Failed) -> Result<(), Failed> {
        let bytes = self.taken_bytes + failed.input.len() as u64;
        let can = self.writer.is_some() || self.writing;
        if !can || self.taken >= MAX_CAPSULES || bytes > MAX_CAPSULE_BYTES {
            return Err(failed);
        }
        self.taken += 1;
        self.taken_bytes = bytes;
        self.waiting.push_back(failed);
        Ok(())
    }

    /// The next to be written, with what writes it; to be given back.
    pub(super) fn begin(&mut self) -> Option<(Writer, Failed)> {
        if self.waiting.is_empty() {
            return None;
        }
        let writer = self.writer.take()?;
        self.writing = true;
        self.waiting.pop_front().map(|failed| (writer, failed))
    }

    /// One was written, or could not be: then no more are tried, and what waits is handed back.
    pub(super) fn ended(&mut self, writer: Writer, kept: &Result<bool, Error>) -> Vec<Failed> {
        self.writing = false;
        match kept {
            Ok(true) => {
                self.writer = Some(writer);
                Vec::new()
            }
            Ok(false) => self.waiting.drain(..).collect(),
            Err(error) => {
                tracing::info!(%error, "failed tasks cannot be kept for `rustwren repro`");
                self.waiting.drain(..).collect()
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.writing && self.waiting.is_empty()
    }

    /// What waits, which nobody will write.
    pub(super) fn abandon(&mut self) -> Vec<Failed> {
        self.waiting.drain(..).collect()
    }

    /// What writes, if it is here.
    pub(super) fn take_writer(&mut self) -> Option<Writer> {
        self.writer.take()
    }
}

impl Writer {
    /// Keeps one. Its error names the command that runs it again, if it is kept.
    pub(super) async fn keep(&mut self, failed: &mut Failed) -> Result<bool, Error> {
        let Self { capsules, signs, spec, clock, refers } = self;
        let Failed { error, input } = failed;
        let writing = async {
            signs.given().await?;
            let referred;
            let input = if *refers {
                referred = resolve(signs.store(), input).await?;
                &referred
            } else {
                input
            };
            capsules.keep(spec, error, input).await
        };
        let kept = match select(Box::pin(writing), clock.sleep(PATIENCE)).await {
            Either::Left((kept, _)) => kept?,
            Either::Right(_) => {
                let message = format!("the storage took longer than {PATIENCE:?} for a failed task");
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        };
        if kept {
            failed.error.repro = Some(format!("rustwren repro {} {}", signs.id(), failed.error.index));
        }
        Ok(kept)
    }

    /// Whether the shared value must stay in storage.
    pub(super) fn need_shared(&self) -> bool {
        self.capsules.need_shared()
    }
}

/// The input that a referring record's body stands for.
async fn resolve(store: &Store, body: &Bytes) -> Result<Bytes, Error> {
    match Referred::read(body).map_err(|malformed| internal(&malformed))? {
        Referred::Here(input) => Ok(body.slice_ref(input)),
        Referred::Stored(Place { key, offset, len }) => {
            let range = offset..offset.saturating_add(len);
            store.storage().get_range(&Key::new(key)?, range).await.map_err(Error::from)
        }
    }
}

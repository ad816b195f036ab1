//! Results that a worker has stored, on their way from there to whoever holds the job.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream};

use super::flight::Chunk;
use super::outbox::Delivery;
use super::retry::backoff;
use super::run::{JobRun, internal};
use crate::clock::Clock;
use crate::codec;
use crate::error::{BackendError, Error, ErrorClass};
use crate::invoker::Payload;
use crate::protocol::records::{ResultTag, append_result};
use crate::storage::{Key, Storage};

/// How many are fetched at once.
const AT_ONCE: usize = 16;
/// How often one is tried again that cannot be fetched for the moment.
const RETRIES: u32 = 5;

/// The result of one element, in storage.
struct Fetch {
    index: u64,
    /// The element, to run it again if its result cannot be had; none if it is elsewhere as well.
    chunk: Option<Chunk>,
    stored: Payload,
}

type Fetched = (Fetch, Result<Bytes, BackendError>);

/// Results being fetched, and waiting for that.
#[derive(Default)]
pub(super) struct Fetches {
    waiting: VecDeque<Fetch>,
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Fetched> + Send>>>,
    bytes: usize,
    /// Objects that workers have made for results of this job, which nobody needs when it is over.
    objects: BTreeSet<Arc<str>>,
}

impl fmt::Debug for Fetches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetches").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Fetches {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// How many bytes of results are to come.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl JobRun {
    /// Has a result fetched of which a worker has said where it is.
    pub(super) fn fetch(&mut self, index: u64, chunk: Option<Chunk>, place: &[u8]) -> Result<(), Error> {
        if !std::mem::replace(&mut self.keep.outputs.stored, true) {
            self.give_signs();
        }
        let stored: Payload = codec::decode(place).map_err(|error| internal(&error))?;
        self.fetches.bytes += stored.len() as usize;
        if let Payload::Stored { key, .. } = &stored
            && key.starts_with(&format!("jobs/{}/out/", self.spec.id))
            && !self.fetches.objects.contains(&**key)
        {
            self.fetches.objects.insert(key.as_str().into());
        }
        self.fetches.waiting.push_back(Fetch { index, chunk, stored });
        Ok(())
    }

    /// Has the objects deleted that workers have made for results. Where another job is fed, these may have items of
    /// its inputs in them as well, and stay until it lets go.
    pub(super) fn clear_fetched(&mut self) {
        if self.keep.outputs.hold.is_some() {
            return;
        }
        for name in std::mem::take(&mut self.fetches.objects) {
            self.clear(Some(name));
        }
    }

    /// Goes on with what is being fetched. Says whether anything has come.
    pub(super) fn read_fetched(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut any = false;
        loop {
            while self.fetches.under_way.len() < AT_ONCE
                && let Some(fetch) = self.fetches.waiting.pop_front()
            {
                let (storage, clock) =
                    (Arc::clone(&self.resources.storage), Arc::clone(&self.resources.clock));
                let rng = self.rng.fork();
                self.fetches.under_way.push(Box::pin(async move {
                    let result = get(&*storage, &*clock, &fetch.stored, rng).await;
                    (fetch, result)
                }));
            }
            let Poll::Ready(Some((fetch, result))) = Pin::new(&mut self.fetches.under_way).poll_next(cx)
            else {
                return Ok(any);
            };
            any = true;
            self.fetches.bytes -= fetch.stored.len() as usize;
            self.on_fetched(fetch, result)?;
        }
    }

    fn on_fetched(&mut self, fetch: Fetch, result: Result<Bytes, BackendError>) -> Result<(), Error> {
        let Fetch { index, chunk, .. } = fetch;
        if self.done.contains(index) {
            self.stats.duplicates += 1;
            return Ok(());
        }
        let error = match result {
            Ok(bytes) => {
                let mut record = Vec::with_capacity(bytes.len() + 10);
                append_result(&mut record, ResultTag::Output, |out| {
                    out.extend_from_slice(&bytes);
                    Ok::<(), Error>(())
                })?;
                self.finish_elsewhere(index, index + 1);
                self.progress.done += 1;
                self.stats.output_bytes += bytes.len() as u64;
                self.out.push(Delivery::Results { first: index, count: 1, records: record.into() });
                return Ok(());
            }
            Err(error) => error,
        };
        // Whoever stored it said that it was there. Perhaps it is gone; the element can be run again.
        if !error.class().is_retryable() && error.class() != ErrorClass::NotFound {
            return Err(Error::from(error).context("a stored result could not be fetched"));
        }
        let Some(mut chunk) = chunk else { return Ok(()) };
        let held = self.flights.values().any(|flight| flight.lacking(index, index + 1).next().is_some());
        if held || self.waiting.contains(index) {
            return Ok(());
        }
        chunk.fruitless += 1;
        self.check_patience(chunk.fruitless, || format!("a stored result could not be fetched: {error}"))?;
        self.stats.handed_back += 1;
        if let Some(observer) = self.outbox.observer() {
            observer.waiting(index, 1);
        }
        let at = self.now + backoff(chunk.fruitless, &mut self.rng);
        self.waiting.push_later(chunk, at);
        Ok(())
    }
}

async fn get(
    storage: &dyn Storage,
    clock: &dyn Clock,
    stored: &Payload,
    mut rng: fastrand::Rng,
) -> Result<Bytes, BackendError> {
    let (key, range) = match stored {
        Payload::Inline(parts) => return Ok(Bytes::from(parts.concat())),
        Payload::Stored { key, offset, len } => {
            (Key::new(key.as_str())?, *offset..offset.saturating_add(*len))
        }
    };
    let mut tries = 0;
    loop {
        match storage.get_range(&key, range.clone()).await {
            Err(error) if error.class().is_retryable() && tries < RETRIES => {
                tries += 1;
                tracing::debug!(%key, %error, "a stored result is fetched again");
                let asked = match error.class() {
                    ErrorClass::Throttled { retry_after } => retry_after.unwrap_or_default(),
                    _ => std::time::Duration::ZERO,
                };
                clock.sleep(backoff(tries, &mut rng).max(asked)).await;
            }
            Ok(bytes) if bytes.len() as u64 != range.end - range.start => {
                let message = format!("{} of {} bytes of a result are in {key}", bytes.len(), stored.len());
                return Err(BackendError::new(ErrorClass::NotFound, message));
            }
            result => return result,
        }
    }
}

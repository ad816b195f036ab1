//! Results that a worker has stored, on their way from there to whoever holds the job.
//!
//! A worker puts many into one object, one behind the other. Neighbours are read together; where that fails, each is
//! tried by itself, so that one that cannot be had does not take the others with it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream};

use super::backups::without;
use super::flight::Chunk;
use super::outbox::Delivery;
use super::retry::backoff;
use super::run::{JobRun, internal};
use crate::clock::Clock;
use crate::codec;
use crate::error::{BackendError, Error, ErrorClass};
use crate::invoker::Payload;
use crate::protocol::records::{ResultTag, append_list, split_together};
use crate::storage::{Key, Storage};

/// How many are fetched at once.
const AT_ONCE: usize = 16;
/// Neighbours that are read together have no more bytes than this, unless it is one.
const TOGETHER: u64 = 8 << 20;
/// How often one is tried again that cannot be fetched for the moment.
const RETRIES: u32 = 5;

/// The result of an element or of a list, in storage.
struct Fetch {
    elements: Range<u64>,
    /// The elements, to run them again if the result cannot be had; none if they are elsewhere as well.
    chunk: Option<Chunk>,
    stored: Payload,
    /// Whether it is to be read by itself.
    alone: bool,
}

impl Fetch {
    /// Whether `next` lies right behind it.
    fn is_before(&self, next: &Self) -> bool {
        match (&self.stored, &next.stored) {
            (
                Payload::Stored { key, offset, len },
                Payload::Stored { key: next_key, offset: next_offset, .. },
            ) => key == next_key && offset.checked_add(*len) == Some(*next_offset),
            _ => false,
        }
    }
}

/// Neighbours, and what was read for all of them.
type Fetched = (Vec<Fetch>, Result<Bytes, BackendError>);

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

    /// The next ones to be read together, and where they are.
    fn next(&mut self) -> Option<(Vec<Fetch>, Payload)> {
        let first = self.waiting.pop_front()?;
        let mut place = first.stored.clone();
        let mut group = vec![first];
        while let (Some(last), Some(next)) = (group.last(), self.waiting.front())
            && !last.alone
            && !next.alone
            && last.is_before(next)
            && place.len() + next.stored.len() <= TOGETHER
            && let Payload::Stored { len, .. } = &mut place
            && let Some(next) = self.waiting.pop_front()
        {
            *len += next.stored.len();
            group.push(next);
        }
        Some((group, place))
    }

    /// How many bytes of results are to come.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl JobRun {
    /// Has a result fetched of which a worker has said where it is.
    pub(super) fn fetch(
        &mut self,
        elements: Range<u64>,
        chunk: Option<Chunk>,
        place: &[u8],
    ) -> Result<(), Error> {
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
        self.fetches.waiting.push_back(Fetch { elements, chunk, stored, alone: false });
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
                && let Some((group, place)) = self.fetches.next()
            {
                let (storage, clock) =
                    (Arc::clone(&self.resources.storage), Arc::clone(&self.resources.clock));
                let rng = self.rng.fork();
                self.fetches.under_way.push(Box::pin(async move {
                    let result = get(&*storage, &*clock, &place, rng).await;
                    (group, result)
                }));
            }
            let Poll::Ready(Some((mut group, result))) = Pin::new(&mut self.fetches.under_way).poll_next(cx)
            else {
                return Ok(any);
            };
            any = true;
            match result {
                Err(error) if group.len() > 1 => {
                    tracing::debug!(%error, "stored results are fetched one by one");
                    let alone = group.into_iter().map(|fetch| Fetch { alone: true, ..fetch });
                    alone.rev().for_each(|fetch| self.fetches.waiting.push_front(fetch));
                }
                Err(error) => {
                    if let Some(fetch) = group.pop() {
                        self.on_fetched(fetch, Err(error))?;
                    }
                }
                Ok(bytes) => {
                    // As long as all of them together, or it would be an error.
                    let mut at = 0;
                    for fetch in group {
                        let end = at + fetch.stored.len() as usize;
                        self.on_fetched(fetch, Ok(bytes.slice(at..end)))?;
                        at = end;
                    }
                }
            }
        }
    }

    fn on_fetched(&mut self, fetch: Fetch, result: Result<Bytes, BackendError>) -> Result<(), Error> {
        self.fetches.bytes -= fetch.stored.len() as usize;
        let Fetch { elements: Range { start, end }, chunk, .. } = fetch;
        if self.done.covers(start, end) {
            self.stats.duplicates += end - start;
            return Ok(());
        }
        let error = match result {
            Ok(bytes) if self.done.is_clear(start, end) => {
                let count = (end - start) as u32;
                let mut record = Vec::with_capacity(bytes.len() + count as usize + 10);
                append_list(&mut record, count, ResultTag::Output, |out| {
                    out.extend_from_slice(&bytes);
                    Ok::<(), Error>(())
                })?;
                let records = Bytes::from(record);
                let head = split_together(&records).map_err(|error| internal(&error))?.head;
                self.finish_elsewhere(start, end);
                self.progress.done += u64::from(count);
                self.stats.output_bytes += bytes.len() as u64;
                self.out.push(Delivery::Results { first: start, count, records: records.slice(head..) });
                return Ok(());
            }
            // A part of the list was finished elsewhere meanwhile, so that its result is no good.
            Ok(_) => {
                self.stats.duplicates += end - start;
                None
            }
            // Whoever stored it said that it was there. Perhaps it is gone; the elements can be run again.
            Err(error) if error.class().is_retryable() || error.class() == ErrorClass::NotFound => {
                Some(error)
            }
            Err(error) => return Err(Error::from(error).context("a stored result could not be fetched")),
        };
        let Some(chunk) = chunk else { return Ok(()) };
        let left = self.nowhere(start, end);
        if left.is_empty() {
            return Ok(());
        }
        let mut fruitless = chunk.fruitless;
        let mut at = None;
        if let Some(error) = error {
            fruitless += 1;
            self.check_patience(fruitless, || format!("a stored result could not be fetched: {error}"))?;
            at = Some(self.now + backoff(fruitless, &mut self.rng));
        }
        for (from, to) in left {
            self.stats.handed_back += to - from;
            if let Some(observer) = self.outbox.observer() {
                observer.waiting(from, (to - from) as u32);
            }
            let offset = |index: u64| (index - chunk.first) as u32;
            for (from, to, attempt) in self.by_attempt(&chunk, offset(from), offset(to)) {
                let part = self.cut(&chunk, from, to, fruitless)?;
                let part = Chunk { attempt, alone: part.alone || attempt > part.attempt, ..part };
                match at {
                    Some(at) => self.waiting.push_later(part, at),
                    None => self.waiting.push(part),
                }
            }
        }
        Ok(())
    }

    /// The parts of `start..end` (indexes) that are not finished, do not wait and are with no worker.
    fn nowhere(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut held: Vec<(u64, u64)> = self.waiting.parts(start, end).collect();
        held.extend(self.flights.values().flat_map(|flight| flight.lacking(start, end)));
        held.sort_unstable();
        self.done.missing(start, end).flat_map(|part| without(part, &held)).collect()
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

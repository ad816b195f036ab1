//! Results come in: each element is delivered once, whichever invocation brings it first.

use std::ops::Range;

use bytes::Bytes;

use super::flight::Flight;
use super::outbox::Delivery;
use super::run::{JobRun, internal};
use crate::codec;
use crate::error::Error;
use crate::invoker::ResultBatch;
use crate::protocol::records::{ResultTag, split_result};

impl JobRun {
    /// Takes results of an invocation under way, or just over.
    pub(super) fn accept(&mut self, flight: &mut Flight, batch: &ResultBatch) -> Result<(), Error> {
        let end = end_of(batch, flight.chunk.count)?;
        self.stats.output_bytes += batch.records.len() as u64;
        let mut fresh = flight.received.add(batch.offset, batch.count);
        let first = flight.chunk.first;
        if !self.done.is_clear(first + u64::from(batch.offset), first + u64::from(end)) {
            let index = |k: u32| first + u64::from(k);
            let missing = fresh.iter().flat_map(|&(from, to)| self.done.missing(index(from), index(to)));
            fresh = missing.map(|(from, to)| ((from - first) as u32, (to - first) as u32)).collect();
        }
        flight.useful += count(&fresh);
        self.read_records(Some(flight), first, batch, &fresh)
    }

    /// Takes results of an invocation that was given up. Its elements wait again, or are with another worker; what
    /// it has done need not be done again. Failures cost nothing: the attempt was reckoned up already.
    pub(super) fn accept_late(&mut self, id: u64, batch: &ResultBatch) -> Result<(), Error> {
        let Some(past) = self.given_up.get(id) else {
            self.stats.duplicates += u64::from(batch.count);
            return Ok(());
        };
        let end = end_of(batch, past.count)?;
        self.stats.output_bytes += batch.records.len() as u64;
        let index = |k: u32| past.first + u64::from(k);
        let missing = self.done.missing(index(batch.offset), index(end));
        let fresh: Vec<_> =
            missing.map(|(from, to)| ((from - past.first) as u32, (to - past.first) as u32)).collect();
        self.unwaste(past.wasted.share(count(&fresh), past.left));
        self.read_records(None, past.first, batch, &fresh)
    }

    /// Reads a batch whose elements count from `first`; of these, `fresh` are not finished. `flight` brings them, unless
    /// they are late.
    fn read_records(
        &mut self,
        flight: Option<&Flight>,
        first: u64,
        batch: &ResultBatch,
        fresh: &[(u32, u32)],
    ) -> Result<(), Error> {
        let end = batch.offset + batch.count;
        let count = count(fresh);
        self.stats.duplicates += u64::from(batch.count - count);
        let is_fresh = |k: u32| fresh.iter().any(|&(from, to)| from <= k && k < to);
        // The start of the run of deliverable records that the scan is in: (element, byte).
        let mut run: Option<(u32, usize)> = None;
        let mut at = 0;
        for k in batch.offset..end {
            let (tag, body, len) = split_result(&batch.records[at..]).map_err(|e| internal(&e))?;
            let wanted = count == batch.count || is_fresh(k);
            if wanted && tag == ResultTag::Output {
                run.get_or_insert((k, at));
            } else {
                if let Some((from, start)) = run.take() {
                    self.deliver(flight, first, from..k, batch.records.slice(start..at));
                }
                match (tag, flight) {
                    _ if !wanted => {}
                    (ResultTag::Failure, Some(flight)) => {
                        let failure = codec::decode(body).map_err(|e| internal(&e))?;
                        self.on_failure(flight, k, failure)?;
                    }
                    (ResultTag::Failure, None) => self.stats.duplicates += 1,
                    (ResultTag::Stored, Some(flight)) => {
                        let index = first + u64::from(k);
                        self.progress.running -= u64::from(!self.is_held_by(&flight.twins, index));
                        let alone = self.cut(&flight.chunk, k, k + 1, flight.chunk.fruitless)?;
                        self.fetch(index, Some(alone), body)?;
                    }
                    (ResultTag::Stored, None) => self.fetch(first + u64::from(k), None, body)?,
                    (ResultTag::Output, _) => {}
                }
            }
            at += len;
        }
        if at != batch.records.len() {
            return Err(internal(&"more result bytes than results"));
        }
        if let Some((from, start)) = run {
            self.deliver(flight, first, from..end, batch.records.slice(start..at));
        }
        Ok(())
    }

    /// Delivers results of unfinished elements, which count from `first`.
    fn deliver(&mut self, flight: Option<&Flight>, first: u64, elements: Range<u32>, records: Bytes) {
        let count = elements.end - elements.start;
        let start = first + u64::from(elements.start);
        let end = start + u64::from(count);
        match flight {
            Some(flight) if flight.twins.is_empty() => {
                self.done.add(start, end);
                self.progress.running -= u64::from(count);
                if flight.chunk.attempt > 1 {
                    self.failures.remove(&start);
                }
            }
            Some(flight) => {
                self.done.add(start, end);
                self.progress.running -= u64::from(count);
                self.failures.retain(|index, _| !(start..end).contains(index));
                // After a twin failed, the element may wait as well.
                self.waiting.drop_finished(start, end, &self.done);
                self.stop_idle(&flight.twins);
            }
            None => self.finish_elsewhere(start, end),
        }
        self.progress.done += u64::from(count);
        self.out.push(Delivery::Results { first: start, count, records });
    }

    /// These elements are finished, though not by the invocations that hold them now.
    pub(super) fn finish_elsewhere(&mut self, start: u64, end: u64) {
        self.done.add(start, end);
        if !self.failures.is_empty() {
            self.failures.retain(|index, _| !(start..end).contains(index));
        }
        self.waiting.drop_finished(start, end, &self.done);
        let mut held: Vec<(u64, u64)> = Vec::new();
        for flight in self.flights.values() {
            let before = held.len();
            held.extend(flight.lacking(start, end));
            if held.len() == before {
                continue;
            }
            // One whose elements are all finished is stopped; others run on, and of those not all is listened to.
            if flight.left(&self.done).is_empty() {
                flight.abort.abort();
            }
        }
        // Where two flights have an element, it runs once.
        held.sort_unstable();
        let mut counted = start;
        for (from, to) in held {
            self.progress.running -= to.saturating_sub(from.max(counted));
            counted = counted.max(to);
        }
    }
}

/// How many elements there are in these runs.
fn count(runs: &[(u32, u32)]) -> u32 {
    runs.iter().map(|(from, to)| to - from).sum()
}

/// The end of a batch of an invocation of this many elements, from its beginning.
fn end_of(batch: &ResultBatch, count: u32) -> Result<u32, Error> {
    let end = batch.offset.checked_add(batch.count).filter(|&end| end <= count && batch.count > 0);
    end.ok_or_else(|| internal(&"results for elements that were not asked for"))
}

//! Results come in: each element is delivered once, whichever invocation brings it first.
//!
//! The result of a list is that of all its elements or of none. Where an element of it has one already, from a list that
//! was cut elsewhere or by itself, the list's result is refused, and the others are run again.

use std::ops::Range;

use bytes::Bytes;

use super::flight::Flight;
use super::outbox::Delivery;
use super::run::{JobRun, internal};
use crate::codec;
use crate::error::Error;
use crate::invoker::ResultBatch;
use crate::protocol::records::{ResultTag, Together, split_together};

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
        let refused = self.read_records(Some(flight), first, batch, &fresh)?;
        flight.useful += count(&fresh) - refused;
        Ok(())
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
        let refused = self.read_records(None, past.first, batch, &fresh)?;
        self.unwaste(past.wasted.share(count(&fresh) - refused, past.left));
        Ok(())
    }

    /// Reads a batch whose elements count from `first`; of these, `fresh` are not finished. `flight` brings them, unless
    /// they are late. How many of the fresh ones were refused.
    fn read_records(
        &mut self,
        flight: Option<&Flight>,
        first: u64,
        batch: &ResultBatch,
        fresh: &[(u32, u32)],
    ) -> Result<u32, Error> {
        let end = batch.offset + batch.count;
        let count = count(fresh);
        let mut refused = 0;
        let are_fresh = |k: u32, next: u32| fresh.iter().any(|&(from, to)| from <= k && next <= to);
        // The start of the run of deliverable records that the scan is in: (element, byte).
        let mut run: Option<(u32, usize)> = None;
        let (mut k, mut at) = (batch.offset, 0);
        while k < end {
            let result = split_together(&batch.records[at..]).map_err(|e| internal(&e))?;
            let next = k.checked_add(result.count).filter(|&next| next <= end);
            let next = next.ok_or_else(|| internal(&"a list of more elements than there are"))?;
            let wanted = count == batch.count || are_fresh(k, next);
            if wanted && result.tag == ResultTag::Output && result.count == 1 {
                run.get_or_insert((k, at));
            } else {
                if let Some((from, start)) = run.take() {
                    self.deliver(flight, first, from..k, batch.records.slice(start..at));
                }
                if wanted {
                    let records = batch.records.slice(at + result.head..at + result.len);
                    self.take_whole(flight, first, k..next, &result, records)?;
                } else {
                    refused += self.refuse(flight, k..next, fresh)?;
                }
            }
            (k, at) = (next, at + result.len);
        }
        if at != batch.records.len() {
            return Err(internal(&"more result bytes than results"));
        }
        if let Some((from, start)) = run {
            self.deliver(flight, first, from..end, batch.records.slice(start..at));
        }
        self.stats.duplicates += u64::from(batch.count - count + refused);
        Ok(refused)
    }

    /// Takes a result that is wanted, and is not just one of a run of outputs.
    fn take_whole(
        &mut self,
        flight: Option<&Flight>,
        first: u64,
        elements: Range<u32>,
        result: &Together<'_>,
        records: Bytes,
    ) -> Result<(), Error> {
        let Range { start, end } = elements;
        match (result.tag, flight) {
            (ResultTag::Output, _) => self.deliver(flight, first, elements, records),
            (ResultTag::Failure, Some(flight)) => {
                let failure = codec::decode(result.body).map_err(|e| internal(&e))?;
                self.on_failure(flight, start, failure)?;
            }
            (ResultTag::Failure, None) => self.stats.duplicates += 1,
            (ResultTag::Stored, flight) => {
                let chunk = match flight {
                    Some(flight) => {
                        let is_held = |k: &u32| self.is_held_by(&flight.twins, first + u64::from(*k));
                        let held = elements.filter(is_held).count() as u64;
                        self.progress.running -= u64::from(end - start) - held;
                        Some(self.cut(&flight.chunk, start, end, flight.chunk.fruitless)?)
                    }
                    None => None,
                };
                self.fetch(first + u64::from(start)..first + u64::from(end), chunk, result.body)?;
            }
        }
        Ok(())
    }

    /// Refuses the result of elements of which not all are wanted. Those that are go back to the queue, unless the result
    /// was late: then they wait, or are with another worker. How many there are.
    fn refuse(
        &mut self,
        flight: Option<&Flight>,
        elements: Range<u32>,
        fresh: &[(u32, u32)],
    ) -> Result<u32, Error> {
        let within = |&(from, to): &(u32, u32)| (from.max(elements.start), to.min(elements.end));
        let wanted: Vec<(u32, u32)> = fresh.iter().map(within).filter(|(from, to)| from < to).collect();
        let refused = count(&wanted);
        if let Some(flight) = flight
            && refused > 0
        {
            for (from, to) in self.held_by_no_twin(flight, wanted) {
                self.requeue(flight, from..to, 0, None)?;
            }
        }
        Ok(refused)
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

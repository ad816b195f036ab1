//! Jobs that are resumed by content: what an input is, and which of them have results.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use ring::digest;

use super::entry::{Elements, Entry, Identity};
use super::id::JobId;
use super::journal::Logged;
use super::sealed::mend;
use super::store::{Store, absent_as_none};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::records::split_result;

/// Results that lie at most this far apart are read together.
const GAP: u64 = 64 << 10;
/// Ranges are read up to this size, unless one result is larger.
const RUN: u64 = 8 << 20;
/// Ranges of objects that are read at once.
const READS: usize = 8;

/// Gives inputs their identities, in the order in which the program supplies them.
#[derive(Debug, Default)]
pub struct Identities {
    seen: HashMap<[u8; 16], u32>,
}

impl Identities {
    /// The identity of the next input, whose record has this body.
    pub fn next(&mut self, body: &[u8]) -> Identity {
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest::digest(&digest::SHA256, body).as_ref()[..16]);
        let count = self.seen.entry(hash).or_default();
        let occurrence = *count;
        *count = count.saturating_add(1);
        Identity { hash, occurrence }
    }
}

/// The inputs that have a result in the journals of a family of jobs, and where it lies.
#[derive(Debug, Default)]
pub struct CommittedByIdentity {
    jobs: Vec<JobId>,
    places: HashMap<Identity, Place>,
}

/// A result record. Small, since there is one for each input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    job: u32,
    seq: u32,
    at: u32,
    len: u32,
}

impl Place {
    fn start(&self) -> u64 {
        u64::from(self.at)
    }

    fn end(&self) -> u64 {
        u64::from(self.at) + u64::from(self.len)
    }

    /// Whether it is worth reading together with one before it.
    fn is_near(&self, before: &Self) -> bool {
        (self.job, self.seq) == (before.job, before.seq) && self.start() <= before.end() + GAP
    }
}

impl CommittedByIdentity {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many inputs have a result.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether this one has.
    pub fn contains(&self, identity: &Identity) -> bool {
        self.places.contains_key(identity)
    }

    /// How many bytes the result record of an input takes; 0 where it has none.
    pub fn size(&self, identity: &Identity) -> u64 {
        self.places.get(identity).map_or(0, |place| u64::from(place.len))
    }

    /// Takes an entry of a job's journal in. Of several results of one input the first that is taken in is its result.
    pub fn add(&mut self, id: &JobId, logged: &Logged) -> Result<()> {
        let Entry::Results(results) = &logged.entry else {
            return Ok(());
        };
        let job = self.jobs.iter().position(|job| job == id).unwrap_or_else(|| {
            self.jobs.push(id.clone());
            self.jobs.len() - 1
        });
        let wrong = |what: &dyn std::fmt::Display| {
            let message = format!("entry {} of the journal of job {id} is wrong: {what}", logged.seq);
            Error::new(ErrorKind::Internal, message).with_hint(mend(id))
        };
        let small = |n: u64| u32::try_from(n).map_err(|_| wrong(&"it is too large"));
        for (group, range) in results.ranges(logged.size) {
            let Elements::Identities(identities) = &group.elements else {
                return Err(wrong(&"it names elements by place"));
            };
            let mut at = 0;
            for identity in identities {
                let (_, _, len) = split_result(&group.records[at..]).map_err(|error| wrong(&error))?;
                let place = Place {
                    job: job as u32,
                    seq: small(logged.seq)?,
                    at: small(range.start + at as u64)?,
                    len: small(len as u64)?,
                };
                if let Slot::Vacant(slot) = self.places.entry(*identity) {
                    slot.insert(place);
                }
                at += len;
            }
        }
        Ok(())
    }

    /// The result records of inputs, in their order; `None` for those that have none, or none any more: `jobs clean` may
    /// have removed another job of the family. Results that lie close to each other are read together. All of them are
    /// in memory then: ask for as many as there is room for.
    pub async fn read(&self, store: &Store, identities: &[Identity]) -> Result<Vec<Option<Bytes>>> {
        let found = identities.iter().enumerate();
        let mut found: Vec<(Place, usize)> =
            found.filter_map(|(i, identity)| Some((*self.places.get(identity)?, i))).collect();
        found.sort_unstable();
        // Long runs in parts, so that several are read at once.
        let mut parts: Vec<Range<usize>> = Vec::new();
        for (i, (place, _)) in found.iter().enumerate() {
            match parts.last_mut() {
                Some(part)
                    if place.is_near(&found[i - 1].0) && place.end() <= found[part.start].0.start() + RUN =>
                {
                    part.end = i + 1;
                }
                _ => parts.push(i..i + 1),
            }
        }
        let found = &found;
        let mut out = vec![None; identities.len()];
        let mut reading = iter(parts).map(|part| self.read_run(store, &found[part])).buffer_unordered(READS);
        while let Some(run) = reading.try_next().await? {
            for (i, record) in run {
                out[i] = Some(record);
            }
        }
        Ok(out)
    }

    async fn read_run(&self, store: &Store, run: &[(Place, usize)]) -> Result<Vec<(usize, Bytes)>> {
        let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
            return Ok(Vec::new());
        };
        let (start, end) = (first.start(), last.end());
        let id = &self.jobs[first.job as usize];
        let key = id.log_key(u64::from(first.seq))?;
        let Some(bytes) = absent_as_none(store.get_range(&key, start..end).await)? else {
            return Ok(Vec::new());
        };
        let mut out = Vec::with_capacity(run.len());
        for (place, i) in run {
            let at = (place.start() - start) as usize;
            let end = at + place.len as usize;
            if end > bytes.len() {
                let message = format!("object {key} is shorter than it was");
                return Err(Error::new(ErrorKind::Internal, message).with_hint(mend(id)));
            }
            out.push((*i, bytes.slice(at..end)));
        }
        Ok(out)
    }
}

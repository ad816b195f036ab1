//! Which elements of a job have an outcome in its journal, and where it lies. Outcomes themselves are not held: they
//! are read again from storage where they are wanted.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::entry::{Elements, Entry, Results};
use super::id::JobId;
use super::journal::Logged;
use super::sealed::mend;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::failure::TaskError;
use crate::protocol::records::split_result;

/// Ranges of objects that are read at once.
const READS: usize = 8;

/// Outcomes of elements that lie next to each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Their results.
    Results {
        /// The first element.
        first: u64,
        /// How many.
        count: u32,
        /// As many result records.
        records: Bytes,
    },
    /// One has failed for good.
    Failed(TaskError),
}

impl Outcome {
    /// The elements that have it.
    pub fn elements(&self) -> Range<u64> {
        match self {
            Self::Results { first, count, .. } => *first..*first + u64::from(*count),
            Self::Failed(error) => error.index..error.index + 1,
        }
    }
}

/// The elements of a durable job that have an outcome, by their place in the inputs.
#[derive(Debug)]
pub struct CommittedByIndex {
    id: JobId,
    /// By first element. Disjoint.
    segments: BTreeMap<u64, Segment>,
    places: bool,
    done: u64,
    failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    end: u64,
    /// `None` where places are not kept.
    place: Option<Place>,
}

/// Where in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// These bytes of an entry's object.
    Records { seq: u64, at: u64, len: u64 },
    /// The failures of an entry.
    Failed { seq: u64 },
}

impl CommittedByIndex {
    /// None yet, of this job.
    pub fn new(id: &JobId) -> Self {
        Self { id: id.clone(), segments: BTreeMap::new(), places: true, done: 0, failed: 0 }
    }

    /// None yet; for who takes outcomes as they come and reads none of them again, in less memory.
    pub fn without_places(id: &JobId) -> Self {
        Self { places: false, ..Self::new(id) }
    }

    /// Takes an entry in, in the journal's order, and hands back what of it is new: of several outcomes of one element
    /// the first in the journal is its outcome.
    pub fn add(&mut self, logged: &Logged) -> Result<Vec<Outcome>> {
        let Entry::Results(results) = &logged.entry else {
            return Ok(Vec::new());
        };
        let mut new = Vec::new();
        self.add_runs(logged, results, &mut new)?;
        for error in &results.failed {
            let Some(end) = error.index.checked_add(1) else {
                return Err(self.malformed(logged.seq, &"an element's index is too large"));
            };
            if self.gaps(error.index..end).next().is_some() {
                self.failed += 1;
                self.insert(error.index, end, Place::Failed { seq: logged.seq });
                new.push(Outcome::Failed(error.clone()));
            }
        }
        Ok(new)
    }

    fn add_runs(&mut self, logged: &Logged, results: &Results, new: &mut Vec<Outcome>) -> Result<()> {
        for (group, range) in results.ranges(logged.size) {
            let Elements::Run { first, count } = group.elements else {
                return Err(self.malformed(logged.seq, &"it names elements by content"));
            };
            let gaps: Vec<Range<u64>> = self.gaps(first..first + u64::from(count)).collect();
            let mut cutter = Cutter { records: &group.records, element: first, at: 0 };
            for gap in gaps {
                let cut = cutter.cut(&gap).map_err(|error| self.malformed(logged.seq, &error))?;
                let count = (gap.end - gap.start) as u32;
                self.done += u64::from(count);
                let at = range.start + cut.start as u64;
                let place = Place::Records { seq: logged.seq, at, len: cut.len() as u64 };
                self.insert(gap.start, gap.end, place);
                new.push(Outcome::Results { first: gap.start, count, records: group.records.slice(cut) });
            }
        }
        Ok(())
    }

    /// Elements with a result.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Elements that have failed for good.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Whether an element has an outcome.
    pub fn contains(&self, index: u64) -> bool {
        self.segments.range(..=index).next_back().is_some_and(|(_, segment)| segment.end > index)
    }

    /// The parts of a range that have no outcome.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = range.start;
        let mut segments = self.overlapping(&range);
        std::iter::from_fn(move || {
            while at < range.end {
                let Some((first, segment)) = segments.next() else {
                    let gap = at..range.end;
                    at = range.end;
                    return Some(gap);
                };
                let gap = at..first.min(range.end);
                at = at.max(segment.end);
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// Reads the outcomes of the elements in a range that have one, in order, by few large reads. All of them are in
    /// memory then: ask for as many as there is room for.
    pub async fn read(&self, store: &Store, range: Range<u64>) -> Result<Vec<Outcome>> {
        let parts = self.overlapping(&range).map(|(first, segment)| {
            let wanted = first.max(range.start)..segment.end.min(range.end);
            self.read_segment(store, first, segment, wanted)
        });
        iter(parts).buffered(READS).try_concat().await
    }

    async fn read_segment(
        &self,
        store: &Store,
        first: u64,
        segment: Segment,
        wanted: Range<u64>,
    ) -> Result<Vec<Outcome>> {
        match segment.place {
            None => Err(Error::new(ErrorKind::Internal, "the places of outcomes were not kept")),
            Some(Place::Records { seq, at, len }) => {
                let bytes = store.get_range(&self.id.log_key(seq)?, at..at + len).await?;
                let cut = Cutter { records: &bytes, element: first, at: 0 }.cut(&wanted);
                let cut = cut.map_err(|error| self.malformed(seq, &error))?;
                let count = (wanted.end - wanted.start) as u32;
                Ok(vec![Outcome::Results { first: wanted.start, count, records: bytes.slice(cut) }])
            }
            Some(Place::Failed { seq }) => {
                let key = self.id.log_key(seq)?;
                let entry = Entry::decode(&store.get(&key).await?, &self.id, &key)?;
                let Entry::Results(results) = entry else {
                    return Err(self.malformed(seq, &"it holds no failures any more"));
                };
                let failed = results.failed.into_iter().filter(|error| wanted.contains(&error.index));
                let mut failed: Vec<Outcome> = failed.map(Outcome::Failed).collect();
                failed.sort_by_key(|failed| failed.elements().start);
                // Of several the first counts, in one entry as well.
                failed.dedup_by_key(|failed| failed.elements().start);
                Ok(failed)
            }
        }
    }

    fn overlapping(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, Segment)> + use<'_> {
        let start = match self.segments.range(..=range.start).next_back() {
            Some((&first, segment)) if segment.end > range.start => first,
            _ => range.start,
        };
        let end = range.end.max(start);
        self.segments.range(start..end).map(|(&first, &segment)| (first, segment))
    }

    /// Adds a segment that overlaps none, and joins it with the one before it where it continues it.
    fn insert(&mut self, first: u64, end: u64, place: Place) {
        let place = self.places.then_some(place);
        let mut joined = (first, Segment { end, place });
        if let Some((&before, segment)) = self.segments.range(..first).next_back()
            && segment.end == first
            && let Some(place) = follows(segment.place, place)
        {
            joined = (before, Segment { end, place });
        }
        // Where places are not kept, the gap that is filled may close up with what comes behind it.
        if !self.places
            && let Some(after) = self.segments.remove(&end)
        {
            joined.1.end = after.end;
        }
        self.segments.insert(joined.0, joined.1);
    }

    fn malformed(&self, seq: u64, what: &dyn std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::Internal,
            format!("entry {seq} of the journal of job {} is wrong: {what}", self.id),
        )
        .with_hint(mend(&self.id))
    }
}

/// The place of two segments in one, where the second lies right behind the first.
#[expect(clippy::option_option, reason = "whether there is one, and which")]
fn follows(first: Option<Place>, second: Option<Place>) -> Option<Option<Place>> {
    match (first, second) {
        (None, None) => Some(None),
        (Some(Place::Records { seq, at, len }), Some(Place::Records { seq: s, at: a, len: l })) => {
            (seq == s && at + len == a).then_some(Some(Place::Records { seq, at, len: len + l }))
        }
        (Some(Place::Failed { seq }), Some(Place::Failed { seq: s })) => {
            (seq == s).then_some(Some(Place::Failed { seq }))
        }
        _ => None,
    }
}

/// Cuts runs of records out of a group, front to back.
struct Cutter<'a> {
    records: &'a [u8],
    element: u64,
    at: usize,
}

impl Cutter<'_> {
    /// Where the records of these elements lie.
    fn cut(&mut self, elements: &Range<u64>) -> Result<Range<usize>, crate::protocol::records::Malformed> {
        self.go_to(elements.start)?;
        let start = self.at;
        self.go_to(elements.end)?;
        Ok(start..self.at)
    }

    fn go_to(&mut self, element: u64) -> Result<(), crate::protocol::records::Malformed> {
        while self.element < element {
            let rest = self.records.get(self.at..).unwrap_or_default();
            self.at += split_result(rest)?.2;
            self.element += 1;
        }
        Ok(())
    }
}

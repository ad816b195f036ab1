//! Outcomes on their way into a job's journal. Nobody is told of one before it stands there.
//!
//! One entry is appended at a time. What comes meanwhile goes into the next one, which is begun when much has come
//! together, or after a while that depends on how long appending takes: so a slow storage gets few and large entries,
//! and what a killed client has not recorded is little beside what it has.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::outbox::Delivery;
use crate::clock::Clock;
use crate::durable::{
    Commit, CommittedByIndex, Elements, Entry, Group, Identity, Journal, Leadership, Logged, Outcome,
    Results, Spent, Tally,
};
use crate::error::{Error, ErrorKind};

/// An entry is begun when so many bytes wait.
const ENOUGH: usize = 256 << 10;
/// An entry takes no more than this, unless one delivery is larger.
const LARGEST: usize = 8 << 20;
/// The time from the end of one entry to the beginning of the next, where little has come together: so many times as
/// long as the last one took, within bounds.
const PATIENCE: u32 = 20;
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
/// How often an entry is tried while its storage is not available. Each try takes about half a minute.
const TRIES: u32 = 10;
/// Records of several deliveries are copied together up to this size.
const JOINED: usize = 64 << 10;

/// How elements are named in the journal.
enum Names {
    /// By place; these are recorded.
    ByIndex(CommittedByIndex),
    /// By content; these were read and are not recorded.
    ByIdentity(HashMap<u64, Identity>),
}

enum State {
    Idle(Leadership),
    Writing(Pin<Box<dyn Future<Output = Written> + Send>>),
    /// Somebody else drives the job.
    Deposed(Journal),
    /// Taken away, or of no use any more.
    Gone,
}

struct Written {
    leadership: Leadership,
    entry: Entry,
    came: Result<Commit, Error>,
}

/// Records the outcomes of one job.
pub(super) struct Recorder {
    clock: Arc<dyn Clock>,
    state: State,
    names: Names,
    pending: Vec<Delivery>,
    pending_bytes: usize,
    /// What the entry under way is made of.
    writing: Vec<Delivery>,
    writing_bytes: usize,
    tally: Tally,
    begun: Duration,
    ended: Duration,
    took: Duration,
    tries: u32,
    deposed: bool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// What a look at the recorder has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// Nothing is under way, and nothing waits.
    Idle,
    /// An entry is being written, or waits for its time, if that is known.
    Waiting(Option<Duration>),
    /// Somebody else drives the job.
    Deposed,
}

impl Recorder {
    /// For a job whose elements are named by place; `committed` are recorded.
    pub(super) fn by_index(
        leadership: Leadership,
        committed: CommittedByIndex,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tally = Tally { done: committed.done(), failed: committed.failed() };
        Self::new(leadership, Names::ByIndex(committed), tally, clock)
    }

    /// For a job whose elements are named by content.
    pub(super) fn by_identity(leadership: Leadership, clock: Arc<dyn Clock>) -> Self {
        Self::new(leadership, Names::ByIdentity(HashMap::new()), Tally::default(), clock)
    }

    fn new(leadership: Leadership, names: Names, tally: Tally, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            clock,
            state: State::Idle(leadership),
            names,
            pending: Vec::new(),
            pending_bytes: 0,
            writing: Vec::new(),
            writing_bytes: 0,
            tally,
            begun: now,
            ended: now,
            took: Duration::ZERO,
            tries: 0,
            deposed: false,
        }
    }

    /// Learns what an element is that will have to be recorded.
    pub(super) fn name(&mut self, index: u64, identity: Identity) {
        if let Names::ByIdentity(names) = &mut self.names {
            names.insert(index, identity);
        }
    }

    /// Counts elements whose outcomes were recorded by an earlier run.
    pub(super) fn count_known(&mut self, count: u64) {
        self.tally.done += count;
    }

    /// Takes outcomes that are to be recorded.
    pub(super) fn take(&mut self, out: &mut Vec<Delivery>) {
        self.pending_bytes += out.iter().map(Delivery::weight).sum::<usize>();
        self.pending.append(out);
    }

    /// What waits, in bytes.
    pub(super) fn unrecorded(&self) -> usize {
        self.pending_bytes + self.writing_bytes
    }

    /// The elements that are recorded.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Somebody else is said to drive the job: the journal will tell.
    pub(super) fn doubt(&mut self) {
        self.deposed = true;
    }

    /// Goes on recording; with `flush`, without waiting for more. What is recorded from now on is put into `ready`. An
    /// error says that nothing more can be recorded.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        spent: Spent,
        flush: bool,
        ready: &mut Vec<Delivery>,
    ) -> Result<Recorded, Error> {
        loop {
            match std::mem::replace(&mut self.state, State::Gone) {
                State::Gone => return Ok(Recorded::Idle),
                State::Deposed(journal) => {
                    self.state = State::Deposed(journal);
                    return Ok(Recorded::Deposed);
                }
                State::Idle(leadership) => {
                    if self.deposed {
                        self.state = State::Deposed(leadership.into_journal());
                        continue;
                    }
                    if self.pending.is_empty() {
                        self.state = State::Idle(leadership);
                        return Ok(Recorded::Idle);
                    }
                    let wait = (self.took * PATIENCE).clamp(SHORTEST, LONGEST);
                    let due = self.ended + wait;
                    if !flush && self.pending_bytes < ENOUGH && self.clock.now() < due {
                        self.state = State::Idle(leadership);
                        return Ok(Recorded::Waiting(Some(due)));
                    }
                    let entry = self.next_entry(spent)?;
                    self.tries = 0;
                    self.write(leadership, entry);
                }
                State::Writing(mut writing) => match writing.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Writing(writing);
                        return Ok(Recorded::Waiting(None));
                    }
                    Poll::Ready(written) => self.written(written, ready)?,
                },
            }
        }
    }

    fn write(&mut self, mut leadership: Leadership, entry: Entry) {
        self.begun = self.clock.now();
        self.state = State::Writing(Box::pin(async move {
            let came = leadership.commit(&entry).await;
            Written { leadership, entry, came }
        }));
    }

    fn written(&mut self, written: Written, ready: &mut Vec<Delivery>) -> Result<(), Error> {
        let Written { leadership, entry, came } = written;
        match came {
            Ok(Commit::Written(seq)) => {
                self.ended = self.clock.now();
                self.took = self.ended.saturating_sub(self.begun);
                self.writing_bytes = 0;
                self.state = State::Idle(leadership);
                let mut batch = std::mem::take(&mut self.writing);
                match &mut self.names {
                    // Nobody asks where in the journal it lies.
                    Names::ByIndex(_) => self.adopt(&Logged { seq, size: 0, entry }, ready),
                    Names::ByIdentity(names) => {
                        for delivery in &batch {
                            count(&mut self.tally, delivery);
                            let first = delivery.first();
                            for index in first..first + u64::from(delivery.count()) {
                                names.remove(&index);
                            }
                        }
                        ready.append(&mut batch);
                        Ok(())
                    }
                }
            }
            Ok(Commit::Lost(logged)) => {
                self.adopt(&logged, ready)?;
                self.write(leadership, entry);
                Ok(())
            }
            Ok(Commit::Deposed(_)) => {
                self.state = State::Deposed(leadership.into_journal());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unavailable && self.tries < TRIES => {
                self.tries += 1;
                tracing::warn!(%error, "results could not be recorded yet");
                self.write(leadership, entry);
                Ok(())
            }
            Err(error) => {
                // Whoever cannot write must not pass for alive.
                self.state = State::Idle(leadership);
                Err(error)
            }
        }
    }

    /// The next entry, of what waits.
    fn next_entry(&mut self, spent: Spent) -> Result<Entry, Error> {
        let mut bytes = 0;
        let fits = self.pending.iter().take_while(|delivery| {
            let first = bytes == 0;
            bytes += delivery.weight().max(1);
            first || bytes <= LARGEST
        });
        let count = fits.count();
        self.writing = self.pending.drain(..count).collect();
        self.writing_bytes = self.writing.iter().map(Delivery::weight).sum();
        self.pending_bytes -= self.writing_bytes;
        let mut results = Results { spent, tally: self.tally, ..Results::default() };
        for delivery in &self.writing {
            self::count(&mut results.tally, delivery);
        }
        match &self.names {
            Names::ByIndex(_) => by_index(&self.writing, &mut results),
            Names::ByIdentity(names) => by_identity(&self.writing, names, &mut results)?,
        }
        Ok(Entry::Results(results))
    }

    /// Takes an entry that stands in the journal: what of it is new is ready to be told.
    fn adopt(&mut self, logged: &Logged, ready: &mut Vec<Delivery>) -> Result<(), Error> {
        if let Names::ByIndex(committed) = &mut self.names {
            ready.extend(committed.add(logged)?.into_iter().map(Delivery::from));
            self.tally = Tally { done: committed.done(), failed: committed.failed() };
        }
        Ok(())
    }

    /// Hands back what it was made with, once nothing is under way.
    pub(super) fn take_apart(&mut self) -> Option<Apart> {
        let committed = match std::mem::replace(&mut self.names, Names::ByIdentity(HashMap::new())) {
            Names::ByIndex(committed) => Some(committed),
            Names::ByIdentity(_) => None,
        };
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(leadership) => Some(Apart::Leading(leadership, committed)),
            State::Deposed(journal) => Some(Apart::Deposed(journal, committed)),
            State::Writing(_) | State::Gone => None,
        }
    }
}

/// What a recorder was made with.
#[derive(Debug)]
pub(super) enum Apart {
    Leading(Leadership, Option<CommittedByIndex>),
    Deposed(Journal, Option<CommittedByIndex>),
}

fn count(tally: &mut Tally, delivery: &Delivery) {
    match delivery {
        Delivery::Results { count, .. } => tally.done += u64::from(*count),
        Delivery::Failed(_) => tally.failed += 1,
    }
}

impl From<Outcome> for Delivery {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Results { first, count, records } => Self::Results { first, count, records },
            Outcome::Failed(error) => Self::Failed(error),
        }
    }
}

fn by_index(batch: &[Delivery], results: &mut Results) {
    for delivery in batch {
        match delivery {
            Delivery::Results { first, count, records } => {
                results.push_run(*first, *count, records.clone());
            }
            Delivery::Failed(error) => results.failed.push(error.clone()),
        }
    }
}

fn by_identity(
    batch: &[Delivery],
    names: &HashMap<u64, Identity>,
    results: &mut Results,
) -> Result<(), Error> {
    let mut open = (Vec::new(), Vec::new());
    for delivery in batch {
        let (first, count, records) = match delivery {
            Delivery::Results { first, count, records } => (*first, *count, records),
            Delivery::Failed(error) => {
                results.failed.push(error.clone());
                continue;
            }
        };
        let mut identities = Vec::with_capacity(count as usize);
        for index in first..first + u64::from(count) {
            let identity = names.get(&index).copied();
            identities.push(identity.ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("element {index} has a result and no identity"))
            })?);
        }
        if records.len() > JOINED {
            results
                .groups
                .push(Group { elements: Elements::Identities(identities), records: records.clone() });
        } else {
            open.0.append(&mut identities);
            open.1.extend_from_slice(records);
        }
    }
    if !open.0.is_empty() {
        results.groups.push(Group { elements: Elements::Identities(open.0), records: Bytes::from(open.1) });
    }
    Ok(())
}

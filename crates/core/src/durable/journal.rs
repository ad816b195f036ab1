//! The journal of a job: a log of entries in storage, to which any number of processes may append.
//!
//! Entry number `n` is the object `log/<n>`, written with `put_if_absent`. Of several writers of one number exactly one
//! succeeds; the others read what it wrote and try the next number. A number is tried only by who has read all before
//! it. So there are no holes, all readers see the same entries in the same order, and whoever has appended an entry
//! knows everything that came before it. Everything that must happen once in a job is decided by this order.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

use super::entry::{Clean, End, Entry, Lead, Tally};
use super::id::JobId;
use super::sealed::mend;
use super::store::{Created, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Key;

/// Entries read at once, and bytes of them.
const READ_ENTRIES: usize = 64;
const READ_BYTES: u64 = 32 << 20;

/// An entry with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Its number, from 0.
    pub seq: u64,
    /// The size of its object in bytes; see [`Results::ranges`](super::Results::ranges).
    pub size: u64,
    /// What it says.
    pub entry: Entry,
}

/// What came of appending an entry.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is looked at at once")]
pub enum Appended {
    /// It has this number.
    Written(u64),
    /// Somebody else's entry came before it: this one. The reader has moved on by one, and the entry is not written:
    /// append it again if it is still right.
    Lost(Logged),
}

/// One reader and writer of a job's journal.
pub struct Journal {
    store: Store,
    id: JobId,
    next: u64,
    view: View,
    rng: fastrand::Rng,
}

/// What the entries read so far add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The last `Lead`.
    pub lead: Option<Lead>,
    /// The last `End`, unless a `Lead` came after it.
    pub end: Option<End>,
    /// How far the job has come.
    pub tally: Tally,
}

impl View {
    fn fold(&mut self, entry: &Entry) {
        match entry {
            Entry::Lead(lead) => {
                self.lead = Some(lead.clone());
                self.end = None;
            }
            Entry::Results(results) => self.tally = results.tally,
            Entry::End(end) => {
                self.tally = end.tally;
                self.end = Some(end.clone());
            }
            Entry::Clean(_) => {}
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("job", &self.id).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Journal {
    /// The journal of a job, from its beginning. Nothing is read yet.
    pub fn open(store: &Store, id: JobId) -> Self {
        Self { store: store.clone(), id, next: 0, view: View::default(), rng: fastrand::Rng::new() }
    }

    /// Takes the random part of its entries from this seed, for simulations. Two writers of one journal must not have
    /// the same.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.rng = fastrand::Rng::with_seed(seed);
        self
    }

    /// The job.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The number of the first entry that was not read yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What the entries read so far add up to.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Where it is kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Reads every entry that is there and was not read yet, in order, many at a time, and shows each to `visit`. An
    /// error of `visit` ends it. Not more than 32 MiB, or one entry, are held at once.
    ///
    /// A job that is being removed is an error of kind [`Cancelled`](ErrorKind::Cancelled).
    pub async fn read_all(&mut self, mut visit: impl FnMut(&Logged) -> Result<()>) -> Result<()> {
        let listed = self.store.list(&self.id.log_prefix()).await?;
        let mut sizes = BTreeMap::new();
        for object in &listed {
            let Some(seq) = seq_of(&object.key) else {
                return Err(foreign(&self.id, &object.key));
            };
            sizes.insert(seq, object.size);
        }
        // A listing may miss an entry that was written while it ran, and show a later one.
        let end = sizes.last_key_value().map_or(0, |(&seq, _)| seq + 1);
        let to_read = (self.next..end).map(|seq| (seq, sizes.get(&seq).copied().unwrap_or_default()));
        let mut to_read = to_read.peekable();
        let mut reading = FuturesOrdered::new();
        let mut bytes = 0;
        loop {
            while reading.len() < READ_ENTRIES
                && let Some(&(seq, size)) = to_read.peek()
                && (reading.is_empty() || bytes + size <= READ_BYTES)
            {
                to_read.next();
                bytes += size;
                let (store, key) = (self.store.clone(), self.id.log_key(seq)?);
                reading.push_back(async move { (size, store.get_opt(&key).await, key) });
            }
            let Some((size, found, key)) = reading.next().await else {
                return Ok(());
            };
            bytes -= size;
            // Where a later one is, it was there: the job is being removed, in no order.
            let Some(found) = found? else {
                return Err(self.hole().await);
            };
            let logged = self.take(&found, &key)?;
            visit(&logged)?;
        }
    }

    /// The entries that [`read_all`](Self::read_all) shows, all of them in memory.
    pub async fn entries(&mut self) -> Result<Vec<Logged>> {
        let mut entries = Vec::new();
        self.read_all(|logged| {
            entries.push(logged.clone());
            Ok(())
        })
        .await?;
        Ok(entries)
    }

    /// Reads the next entry, if it is there.
    ///
    /// A job that is being removed is an error of kind [`Cancelled`](ErrorKind::Cancelled); of one that is gone
    /// altogether nothing is there, see [`is_there`](Self::is_there).
    pub async fn read_next(&mut self) -> Result<Option<Logged>> {
        let key = self.id.log_key(self.next)?;
        match self.store.get_opt(&key).await? {
            Some(found) => self.take(&found, &key).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the job has not been removed: its manifest is there.
    pub async fn is_there(&self) -> Result<bool> {
        Ok(self.store.head_opt(&self.id.manifest_key()?).await?.is_some())
    }

    /// Appends an entry behind those that were read. Rides out passing trouble of the storage for about half a minute;
    /// a lost reply is no trouble: the entry is recognised.
    ///
    /// On an error nothing is known of the entry; [`append_again`](Self::append_again) it, or read on.
    pub async fn append(&mut self, entry: &Entry) -> Result<Appended> {
        let nonce = self.rng.u128(..);
        self.append_again(entry, nonce).await
    }

    /// [`append`](Self::append) with a random number of the caller's, so that an entry can be tried again after an
    /// error without being written twice.
    pub async fn append_again(&mut self, entry: &Entry, nonce: u128) -> Result<Appended> {
        let bytes = entry.encode(nonce)?;
        let key = self.id.log_key(self.next)?;
        match self.store.create(&key, bytes).await? {
            Created::Ours => {
                let seq = self.next;
                self.next += 1;
                self.view.fold(entry);
                Ok(Appended::Written(seq))
            }
            Created::Other(found) => self.take(&found, &key).map(Appended::Lost),
            // Entries are deleted by nothing but a removal of the job.
            Created::Vanished => Err(self.removed(None)),
        }
    }

    fn take(&mut self, bytes: &Bytes, key: &Key) -> Result<Logged> {
        let entry = Entry::decode(bytes, &self.id, key)?;
        if let Entry::Clean(clean) = &entry {
            return Err(self.removed(Some(clean)));
        }
        self.view.fold(&entry);
        let logged = Logged { seq: self.next, size: bytes.len() as u64, entry };
        self.next += 1;
        Ok(logged)
    }

    /// The error of a journal with a hole in it: the job is being removed, or somebody has deleted an entry.
    async fn hole(&self) -> Error {
        let last = match self.store.list(&self.id.log_prefix()).await {
            Ok(listed) => listed.into_iter().next_back(),
            Err(error) => return error.into(),
        };
        let Some(last) = last else {
            return self.removed(None);
        };
        let entry = match self.store.get_opt(&last.key).await {
            Ok(Some(found)) => Entry::decode(&found, &self.id, &last.key),
            Ok(None) => return self.removed(None),
            Err(error) => return error.into(),
        };
        match entry {
            Ok(Entry::Clean(clean)) => self.removed(Some(&clean)),
            Ok(_) => {
                let message = format!(
                    "the journal of job {} has a hole: entry {} or one after it is missing, and {} is there",
                    self.id, self.next, last.key
                );
                Error::new(ErrorKind::Internal, message).with_hint(mend(&self.id))
            }
            Err(error) => error,
        }
    }

    /// The error of a job that is being removed.
    pub(super) fn removed(&self, clean: Option<&Clean>) -> Error {
        removed(&self.id, clean)
    }
}

pub(super) fn removed(id: &JobId, clean: Option<&Clean>) -> Error {
    let by = clean.map(|clean| format!(", by {}", clean.by)).unwrap_or_default();
    let message = format!("job {id} was removed from the storage with `rustwren jobs clean`{by}");
    Error::new(ErrorKind::Cancelled, message).with_hint("run it again: nothing of it is left")
}

fn foreign(id: &JobId, key: &Key) -> Error {
    Error::new(ErrorKind::Internal, format!("object {key} is no entry of a journal")).with_hint(mend(id))
}

/// The number of the entry in an object.
pub(super) fn seq_of(key: &Key) -> Option<u64> {
    let (_, name) = key.as_str().rsplit_once('/')?;
    if name.len() < 10 || !name.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    name.parse().ok()
}

//! What stands in a journal.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

use super::id::JobId;
use super::owner::Owner;
use super::sealed::{Broken, Form};
use crate::error::{Error, ErrorKind};
use crate::failure::TaskError;
use crate::protocol::records::{get_varint, put_varint};
use crate::scheduler::stats::JobStats;
use crate::storage::Key;

pub(super) const FORM: Form = Form { magic: *b"RWJ", version: 1, name: "journal entry" };

/// Bytes of an identity in a journal, without its occurrence.
const HASH: usize = 16;

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// From here on this owner drives the job.
    Lead(Lead),
    /// Outcomes of elements. Of several for one element, the first in the journal's order is its outcome.
    Results(Results),
    /// The job has ended. A later `Lead` opens it again: it was not finished, or is resumed.
    End(End),
    /// The job is being removed: nobody may begin anything with it any more.
    Clean(Clean),
}

/// See [`Entry::Lead`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// The new driver.
    pub owner: Owner,
    /// One more than that of the driver before, from 1.
    pub epoch: u64,
    /// How far the job had come.
    #[serde(default)]
    pub tally: Tally,
}

/// See [`Entry::Results`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Results {
    /// Outcomes as result records.
    pub groups: Vec<Group>,
    /// Elements that failed for good, with the history of their attempts.
    pub failed: Vec<TaskError>,
    /// What the job has used so far, in all.
    pub spent: Spent,
    /// How far the job has come with this entry, as its writer sees it.
    pub tally: Tally,
}

/// Outcomes that lie next to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Of which elements.
    pub elements: Elements,
    /// One result record for each, see [`crate::protocol::records`].
    pub records: Bytes,
}

/// Which elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// Consecutive ones by their place in the job's inputs.
    Run {
        /// The first.
        first: u64,
        /// How many.
        count: u32,
    },
    /// By what they are, in jobs that are resumed by content.
    Identities(Vec<Identity>),
}

/// What an input is: the same in every run of a program that supplies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The first half of the SHA-256 of its encoding.
    pub hash: [u8; HASH],
    /// How many equal inputs come before it.
    pub occurrence: u32,
}

/// What a job has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    /// Invocations dispatched.
    pub invocations: u64,
    /// The workers' time.
    pub worker_time: Duration,
    /// In millionths of a dollar, where prices are known.
    pub micro_usd: u64,
    /// The most that what is under way may take on top, where the job has a budget of time or money: should its driver
    /// die now, nobody learns what it really takes.
    pub held_time: Duration,
    /// The same in millionths of a dollar.
    pub held_micro_usd: u64,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Elements with a result.
    pub done: u64,
    /// Elements that have failed for good.
    pub failed: u64,
}

/// See [`Entry::End`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Whether it ran through, and why not.
    pub how: How,
    /// What it has cost.
    #[serde(default)]
    pub stats: JobStats,
    /// How far it has come.
    #[serde(default)]
    pub tally: Tally,
}

/// How a job has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Every element has its outcome.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It was given up.
    Failed(Failure),
}

/// An [`Error`] as it is kept in a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// See [`Error::kind`].
    #[serde(deserialize_with = "kind_or_internal")]
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// See [`Error::hint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// See [`Error::tasks`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskError>,
}

/// See [`Entry::Clean`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clean {
    /// Who removes it.
    pub by: Owner,
}

/// A later version's kind of error is one that this version can do nothing about.
fn kind_or_internal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ErrorKind, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known: Result<ErrorKind, serde::de::value::Error> = ErrorKind::deserialize(name.into_deserializer());
    Ok(known.unwrap_or(ErrorKind::Internal))
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.message(),
            hint: error.hint().map(str::to_owned),
            tasks: error.tasks().to_vec(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = if failure.kind == ErrorKind::Task {
            Self::from_tasks(failure.message, failure.tasks)
        } else {
            Self::new(failure.kind, failure.message)
        };
        error.with_optional_hint(failure.hint)
    }
}

impl Elements {
    /// How many.
    pub fn count(&self) -> u32 {
        match self {
            Self::Run { count, .. } => *count,
            Self::Identities(identities) => identities.len() as u32,
        }
    }
}

impl Results {
    /// Adds outcomes of consecutive elements; they join the group before if they follow it.
    pub fn push_run(&mut self, first: u64, count: u32, records: Bytes) {
        if let Some(Group { elements: Elements::Run { first: f, count: c }, records: r }) =
            self.groups.last_mut()
            && f.checked_add(u64::from(*c)) == Some(first)
            && let Some(sum) = c.checked_add(count)
            && r.len() + records.len() <= JOINED
        {
            *c = sum;
            let mut joined = Vec::with_capacity(r.len() + records.len());
            joined.extend_from_slice(r);
            joined.extend_from_slice(&records);
            *r = joined.into();
            return;
        }
        self.groups.push(Group { elements: Elements::Run { first, count }, records });
    }

    /// Where the records of each group lie in the object of this entry, which has `size` bytes.
    pub fn ranges(&self, size: u64) -> impl Iterator<Item = (&Group, Range<u64>)> {
        let all: u64 = self.groups.iter().map(|group| group.records.len() as u64).sum();
        // They are the object's end.
        let mut at = size.saturating_sub(all);
        self.groups.iter().map(move |group| {
            let start = at;
            at += group.records.len() as u64;
            (group, start..at)
        })
    }

    /// How many bytes of records it holds.
    pub fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.records.len() as u64).sum()
    }
}

/// Groups are joined up to this size; beyond it the copy costs more than a further group.
const JOINED: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
enum Head {
    Lead(Lead),
    Results {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed: Vec<TaskError>,
        #[serde(default)]
        spent: Spent,
        #[serde(default)]
        tally: Tally,
        /// Length of the table of groups, which stands before the records.
        #[serde(default)]
        table: usize,
    },
    End(End),
    Clean(Clean),
}

impl Entry {
    /// Its bytes in storage.
    pub fn encode(&self, nonce: u128) -> Result<Bytes, Error> {
        let results = match self {
            Self::Lead(lead) => return FORM.seal(nonce, &Head::Lead(lead.clone()), []),
            Self::End(end) => return FORM.seal(nonce, &Head::End(end.clone()), []),
            Self::Clean(clean) => return FORM.seal(nonce, &Head::Clean(clean.clone()), []),
            Self::Results(results) => results,
        };
        let mut table = Vec::new();
        for group in &results.groups {
            encode_group(group, &mut table);
        }
        let head = Head::Results {
            failed: results.failed.clone(),
            spent: results.spent,
            tally: results.tally,
            table: table.len(),
        };
        let records = results.groups.iter().map(|group| &group.records[..]);
        FORM.seal(nonce, &head, std::iter::once(&table[..]).chain(records))
    }

    /// Reads it out of the object `key` of a job.
    pub(super) fn decode(bytes: &Bytes, id: &JobId, key: &Key) -> Result<Self, Error> {
        Self::read(bytes).map_err(|broken| broken.into_error(&FORM, id, key))
    }

    /// What it says besides its results, out of the first bytes of its object; `None` when they do not suffice.
    pub(super) fn peek(start: &[u8]) -> Option<Self> {
        Some(match FORM.peek::<Head>(start)? {
            Head::Lead(lead) => Self::Lead(lead),
            Head::End(end) => Self::End(end),
            Head::Clean(clean) => Self::Clean(clean),
            Head::Results { failed, spent, tally, .. } => {
                Self::Results(Results { groups: Vec::new(), failed, spent, tally })
            }
        })
    }

    fn read(bytes: &Bytes) -> Result<Self, Broken> {
        let (head, tail) = FORM.open::<Head>(bytes)?;
        Ok(match head {
            Head::Lead(lead) => Self::Lead(lead),
            Head::End(end) => Self::End(end),
            Head::Clean(clean) => Self::Clean(clean),
            Head::Results { failed, spent, tally, table } => {
                if table > tail.len() {
                    return Err(Broken::Damaged("its table is longer than itself"));
                }
                let groups = decode_groups(&tail.slice(..table), tail.slice(table..))
                    .ok_or(Broken::Damaged("its table of results is wrong"))?;
                Self::Results(Results { groups, failed, spent, tally })
            }
        })
    }
}

/// A group's row: 0, first, count, bytes of a run; or 1, count, bytes, and as many identities.
fn encode_group(group: &Group, out: &mut Vec<u8>) {
    let len = group.records.len() as u64;
    match &group.elements {
        Elements::Run { first, count } => {
            out.push(0);
            put_varint(out, *first);
            put_varint(out, u64::from(*count));
            put_varint(out, len);
        }
        Elements::Identities(identities) => {
            out.push(1);
            put_varint(out, identities.len() as u64);
            put_varint(out, len);
            for identity in identities {
                out.extend_from_slice(&identity.hash);
                put_varint(out, u64::from(identity.occurrence));
            }
        }
    }
}

fn decode_groups(mut table: &[u8], mut records: Bytes) -> Option<Vec<Group>> {
    fn varint(table: &mut &[u8]) -> Option<u64> {
        let (value, len) = get_varint(table)?;
        *table = &table[len..];
        Some(value)
    }
    let mut groups = Vec::new();
    while let Some((&kind, rest)) = table.split_first() {
        table = rest;
        let first = if kind == 0 { varint(&mut table)? } else { 0 };
        let count = u32::try_from(varint(&mut table)?).ok()?;
        let len = usize::try_from(varint(&mut table)?).ok()?;
        let elements = match kind {
            0 => {
                first.checked_add(u64::from(count))?;
                Elements::Run { first, count }
            }
            1 => {
                // Each takes at least 17 bytes: a wrong count is noticed before there is room for it.
                let mut identities = Vec::with_capacity((count as usize).min(table.len() / (HASH + 1)));
                for _ in 0..count {
                    let (hash, rest) = table.split_first_chunk::<HASH>()?;
                    table = rest;
                    let occurrence = u32::try_from(varint(&mut table)?).ok()?;
                    identities.push(Identity { hash: *hash, occurrence });
                }
                Elements::Identities(identities)
            }
            _ => return None,
        };
        if len > records.len() {
            return None;
        }
        groups.push(Group { elements, records: records.split_to(len) });
    }
    records.is_empty().then_some(groups)
}

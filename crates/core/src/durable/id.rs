//! Names of jobs, and the keys of everything that a job keeps in storage.

use std::fmt;
use std::str::FromStr;

use ring::digest;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::entry::Target;
use crate::error::{BackendError, Error, ErrorKind};
use crate::image::ImageId;
use crate::storage::{Key, StorageResult};

/// What all keys of jobs begin with.
pub(super) const JOBS: &str = "jobs/";

/// The longest name, in bytes.
pub const MAX_JOB_ID: usize = 80;

/// A job's name: 1 to 80 lower-case letters, digits and dashes. No name is ever used twice, not even after its job
/// was cleaned away: so nobody who is late can take a new job's objects for an old one's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let fault = if name.is_empty() {
            "is empty"
        } else if name.len() > MAX_JOB_ID {
            "is longer than 80 characters"
        } else if !name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-') {
            "has a character that is no lower-case letter, digit or dash"
        } else {
            return Ok(Self(name));
        };
        let shown: String = name.chars().take(MAX_JOB_ID).collect();
        Err(Error::new(ErrorKind::Config, format!("the job id {shown:?} {fault}"))
            .with_hint("`rustwren jobs list` shows the ids of all jobs"))
    }

    /// The name of an executor's job number `count`: its start in seconds since 1970, a random number, and the count.
    pub fn numbered(started: u64, random: u32, count: u64) -> Self {
        Self(format!("{started:x}-{random:06x}-{count}"))
    }

    /// A new name for a job that is resumed by its content.
    pub fn resumed(family: &ResumeFamily, random: u32) -> Self {
        Self(format!("{family}-{random:08x}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the keys of all its objects begin with, and no other job's: `jobs/<id>/`.
    pub fn prefix(&self) -> String {
        format!("{JOBS}{}/", self.0)
    }

    /// Its manifest.
    pub fn manifest_key(&self) -> StorageResult<Key> {
        self.key("manifest")
    }

    /// An entry of its journal.
    pub fn log_key(&self, seq: u64) -> StorageResult<Key> {
        self.key(&format!("log/{seq:010}"))
    }

    /// What the keys of all entries of its journal begin with.
    pub fn log_prefix(&self) -> String {
        format!("{}log/", self.prefix())
    }

    /// Its driver's sign of life.
    pub fn beat_key(&self) -> StorageResult<Key> {
        self.key("beat")
    }

    /// The request to cancel it.
    pub fn cancel_key(&self) -> StorageResult<Key> {
        self.key("cancel")
    }

    /// What its budget was set to since it was begun.
    pub fn budget_key(&self) -> StorageResult<Key> {
        self.key("budget")
    }

    /// That it has stopped at its budget.
    pub fn stopped_key(&self) -> StorageResult<Key> {
        self.key("stopped")
    }

    /// A block of its inputs.
    pub fn input_key(&self, block: u64) -> StorageResult<Key> {
        self.key(&format!("in/{block:08}"))
    }

    /// What the keys of all blocks of its inputs begin with.
    pub fn input_prefix(&self) -> String {
        format!("{}in/", self.prefix())
    }

    /// The value that all its elements share.
    pub fn shared_key(&self) -> StorageResult<Key> {
        self.key("shared")
    }

    /// The inputs of one invocation on their way to its worker. `run` names the driver, of which a job may have
    /// several one after the other, each of which counts its invocations from the start.
    pub fn spill_key(&self, run: u64, invocation: u64) -> StorageResult<Key> {
        self.key(&format!("spill/{run:016x}-{invocation}"))
    }

    /// Results of one invocation that were too large for its answer. `run` is a random name of the worker's, since the
    /// same invocation may be run twice; `part` counts its objects.
    pub fn output_key(&self, run: u64, part: u64) -> StorageResult<Key> {
        self.key(&format!("out/{run:016x}-{part}"))
    }

    /// What the keys of all such results begin with.
    pub fn output_prefix(&self) -> String {
        format!("{}out/", self.prefix())
    }

    /// What is needed to run an element again that has failed.
    pub fn capsule_key(&self, index: u64) -> StorageResult<Key> {
        self.key(&format!("failed/{index}"))
    }

    /// What the keys of all its capsules begin with.
    pub fn capsule_prefix(&self) -> String {
        format!("{}failed/", self.prefix())
    }

    /// The job whose object this is, and the object's name within it.
    pub fn of_key(key: &Key) -> Option<(Self, &str)> {
        let (id, rest) = key.as_str().strip_prefix(JOBS)?.split_once('/')?;
        Some((Self::new(id).ok()?, rest))
    }

    fn key(&self, name: &str) -> Result<Key, BackendError> {
        Key::new(format!("{JOBS}{}/{name}", self.0))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl TryFrom<String> for JobId {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

/// What jobs have in common that compute the same thing: the same function of the same program with the same shared
/// value. Shown as `resume-<16 hexadecimal digits>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResumeFamily(String);

impl ResumeFamily {
    /// The family of jobs of this function and shared value.
    pub fn new(image: ImageId, target: &Target, shared: Option<&[u8]>) -> Result<Self, Error> {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&image.0);
        let target = codec::to_vec(target).map_err(|error| {
            Error::new(ErrorKind::Internal, "a function's name cannot be encoded").with_source(error)
        })?;
        // With its length in front, so that no two pairs of target and value read alike.
        hash.update(&(target.len() as u64).to_le_bytes());
        hash.update(&target);
        hash.update(&[u8::from(shared.is_some())]);
        hash.update(shared.unwrap_or_default());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finish().as_ref()[..8]);
        Ok(Self(format!("resume-{:016x}", u64::from_be_bytes(first))))
    }

    /// What the keys of all jobs of the family begin with.
    pub fn prefix(&self) -> String {
        format!("{JOBS}{}-", self.0)
    }
}

impl fmt::Display for ResumeFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::Call;

    #[test]
    fn bad_names_are_refused_by_reason() {
        let long = "x".repeat(81);
        for (name, reason) in
            [("", "is empty"), (long.as_str(), "longer than 80"), ("A", "character"), ("a/b", "character")]
        {
            let error = name.parse::<JobId>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(
                error.to_string().contains(reason) && error.hint().unwrap().contains("jobs list"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_longest_name_has_keys() {
        let id = JobId::new("x".repeat(80)).unwrap();
        for key in [id.log_key(u64::MAX), id.output_key(u64::MAX, u64::MAX), id.capsule_key(u64::MAX)] {
            assert_eq!(JobId::of_key(&key.unwrap()).unwrap().0, id);
        }
        assert!(JobId::new(JobId::numbered(u64::MAX, u32::MAX, u64::MAX).as_str()).is_ok());
    }

    #[test]
    fn keys_of_entries_sort_as_their_numbers() {
        let id = JobId::new("j").unwrap();
        assert_eq!(id.log_key(7).unwrap().as_str(), "jobs/j/log/0000000007");
        assert!(id.log_key(99).unwrap() < id.log_key(100).unwrap());
    }

    #[test]
    fn a_family_depends_on_all_that_decides_the_results() {
        let named = |name: &str, call| Target::Named { name: name.into(), call };
        let families = [
            ResumeFamily::new(ImageId([0; 32]), &named("f", Call::Map), None),
            ResumeFamily::new(ImageId([1; 32]), &named("f", Call::Map), None),
            ResumeFamily::new(ImageId([0; 32]), &named("g", Call::Map), None),
            ResumeFamily::new(ImageId([0; 32]), &named("f", Call::TryMap), None),
            ResumeFamily::new(ImageId([0; 32]), &named("f", Call::Map), Some(b"")),
            ResumeFamily::new(ImageId([0; 32]), &named("f", Call::Map), Some(b"s")),
        ];
        let distinct: std::collections::BTreeSet<_> =
            families.into_iter().map(|family| family.unwrap().to_string()).collect();
        assert_eq!(distinct.len(), 6);
        let again = ResumeFamily::new(ImageId([0; 32]), &named("f", Call::Map), None).unwrap();
        assert!(distinct.contains(&again.to_string()));
        let id = JobId::resumed(&again, 5);
        assert!(id.prefix().starts_with(&again.prefix()) && JobId::new(id.as_str()).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,100}") {
            if let Ok(id) = text.parse::<JobId>() {
                prop_assert_eq!(id.to_string(), text);
                let key = id.manifest_key().unwrap();
                prop_assert_eq!(JobId::of_key(&key), Some((id, "manifest")));
            }
        }
    }
}

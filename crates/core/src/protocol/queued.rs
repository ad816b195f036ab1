//! An invocation that travels by a queue, and what is kept of it in storage: that a worker has taken it, and its answer.
//!
//! A queue gives a message to somebody at least once. Whoever gets it claims it first, with an object that can be made
//! once only; so it is run at most once. The answer is an object of the same kind: the first one stands, and who else
//! would give one (a worker that was taken for dead, the client that wants no answer any more) sees that there is no
//! need. All of it lies with the job, and goes with it.

use serde::{Deserialize, Serialize};

use super::json;
use crate::codec::{self, CodecError};
use crate::error::{BackendError, ErrorClass};
use crate::storage::{Key, StorageResult};

/// The version of the messages.
pub const VERSION: u8 = 1;
/// The function that a host calls with such messages, where hosts call functions by name.
pub const FUNCTION: &str = "invoke_queued";
/// Where the objects of a job's queued invocations lie, below the job.
const FOLDER: &str = "queued/";

/// Where one invocation's objects lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    job: String,
    number: u64,
}

impl Place {
    /// That of an invocation of this job. The number is the invocation's own among all that the job will ever have: a
    /// random one.
    pub fn new(job: &str, number: u64) -> Self {
        Self { job: job.to_owned(), number }
    }

    /// What the names of all objects of a job's queued invocations begin with.
    pub fn prefix(job: &str) -> String {
        format!("jobs/{job}/{FOLDER}")
    }

    /// The job's id.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The invocation's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn key(&self, name: &str) -> StorageResult<Key> {
        let Self { job, number } = self;
        if job.is_empty() || job.contains(['/', '.']) {
            return Err(BackendError::new(ErrorClass::Invalid, format!("{job:?} is not a job's id")));
        }
        Key::new(format!("{}{number:016x}/{name}", Self::prefix(job)))
    }

    /// Made by the worker that runs it.
    pub fn taken(&self) -> StorageResult<Key> {
        self.key(TAKEN)
    }

    /// The answer, in the form of [`super::answer`].
    pub fn answer(&self) -> StorageResult<Key> {
        self.key(ANSWER)
    }

    /// The invocation, where it is too large for a message.
    pub fn invocation(&self) -> StorageResult<Key> {
        self.key("invocation")
    }

    /// What an object says about the invocation of which number, by its name: none of another kind of object.
    pub fn sign(job: &str, key: &Key) -> Option<(u64, Sign)> {
        let (number, name) = key.as_str().strip_prefix(&Self::prefix(job))?.split_once('/')?;
        let sign = match name {
            TAKEN => Sign::Taken,
            ANSWER => Sign::Answer,
            _ => return None,
        };
        Some((u64::from_str_radix(number, 16).ok()?, sign))
    }
}

const TAKEN: &str = "taken";
const ANSWER: &str = "answer";

/// What an object stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A worker has the invocation.
    Taken,
    /// It is over.
    Answer,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Where its objects lie.
    pub place: Place,
    /// Whether somebody waits for the answer.
    pub answered: bool,
    /// The invocation, in the form of [`super::invocation`]; none where it is too large and [stored](Place::invocation).
    pub invocation: Option<Vec<u8>>,
}

impl Queued {
    /// The message: JSON, since the ways of queues may take text alone, and pass JSON on unharmed.
    pub fn to_json(&self) -> Result<Vec<u8>, CodecError> {
        let mut bytes = vec![VERSION];
        codec::encode(self, &mut bytes)?;
        Ok(json::to_json(&bytes))
    }

    /// From what was in the message's JSON.
    pub fn decode(bytes: &[u8]) -> Result<Self, BackendError> {
        let error = |what: String| {
            BackendError::new(ErrorClass::Misconfigured, format!("a queued invocation {what}")).with_hint(
                "use the same RustWren on both sides: update the client or deploy the runtime anew",
            )
        };
        match bytes.split_first() {
            Some((&VERSION, body)) => codec::decode(body)
                .map_err(|source| error("cannot be decoded".to_owned()).with_source(source)),
            Some((version, _)) => Err(error(format!("is of version {version}, and {VERSION} is read here"))),
            None => Err(error("has no bytes".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_back(number: u64, answered: bool, invocation: Option<Vec<u8>>) {
            let sent = Queued { place: Place::new("job-1", number), answered, invocation };
            let text = sent.to_json().unwrap();
            let json::Enveloped(bytes) = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(Queued::decode(&bytes).unwrap(), sent);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok(queued) = Queued::decode(&bytes) {
                drop((queued.place.taken(), queued.place.answer()));
            }
        }

        #[test]
        fn objects_tell_whose_they_are(number: u64) {
            let place = Place::new("job-1", number);
            prop_assert_eq!(Place::sign("job-1", &place.taken().unwrap()), Some((number, Sign::Taken)));
            prop_assert_eq!(Place::sign("job-1", &place.answer().unwrap()), Some((number, Sign::Answer)));
            prop_assert_eq!(Place::sign("job-1", &place.invocation().unwrap()), None);
            prop_assert_eq!(Place::sign("job-2", &place.answer().unwrap()), None);
        }
    }

    #[test]
    fn a_message_names_no_place_outside_a_job() {
        for job in ["", "../x", "a/../../b", "a/b"] {
            assert_eq!(Place::new(job, 1).answer().unwrap_err().class(), ErrorClass::Invalid, "{job}");
        }
    }

    #[test]
    fn the_mend_for_another_version() {
        let error = Queued::decode(&[VERSION + 1, 0]).unwrap_err();
        assert!(error.hint().is_some() && error.to_string().contains("version 2"), "{error}");
    }
}

//! What is needed to run an element again that has failed: its function, its input, and what happened to it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::id::JobId;
use super::manifest::unix_now;
use super::sealed::Form;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::failure::TaskError;
use crate::invoker::{JobSpec, Payload};
use crate::storage::Key;

const FORM: Form = Form { magic: *b"RWC", version: 1, name: "record of a failed element" };

/// Most capsules that are kept of one job, and bytes of them.
pub const MAX_CAPSULES: usize = 100;
/// Most bytes of capsules that are kept of one job, its shared value counted once.
pub const MAX_CAPSULE_BYTES: u64 = 256 << 20;

/// An element that has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capsule {
    /// The job. A shared value is an object in storage.
    pub spec: JobSpec,
    /// What happened, attempt by attempt.
    pub error: TaskError,
    /// The body of its input record: the encoded input.
    pub input: Bytes,
    /// The file of the program whose function it is.
    pub program: String,
    /// When it was written, in seconds since 1970, by the clock of the machine that wrote it.
    pub created: u64,
    /// The version of RustWren that wrote it.
    pub rustwren: String,
}

#[derive(Serialize, Deserialize)]
struct Head {
    spec: JobSpec,
    error: TaskError,
    program: String,
    created: u64,
    rustwren: String,
}

impl Capsule {
    /// The capsule of an element. That there is none is an error of kind [`Config`](ErrorKind::Config).
    pub async fn read(store: &Store, id: &JobId, index: u64) -> Result<Self> {
        let key = id.capsule_key(index)?;
        let Some(bytes) = store.get_opt(&key).await? else {
            let message = format!("nothing is kept of an element {index} of a job {id}");
            return Err(Error::new(ErrorKind::Config, message).with_hint(format!(
                "elements that failed for good are kept, up to {MAX_CAPSULES} of a job: `rustwren jobs show {id}` lists \
                 them"
            )));
        };
        let (head, input) = FORM.open::<Head>(&bytes).map_err(|broken| broken.into_error(&FORM, id, &key))?;
        let Head { spec, error, program, created, rustwren } = head;
        Ok(Self { spec, error, input, program, created, rustwren })
    }

    /// The encoded shared value of its job.
    pub async fn shared(&self, store: &Store) -> Result<Option<Bytes>> {
        match &self.spec.shared {
            None => Ok(None),
            Some(Payload::Inline(parts)) => Ok(Some(parts.concat().into())),
            Some(Payload::Stored { key, offset, len }) => Ok(Some(
                store.get_range(&Key::new(key.as_str())?, *offset..offset.saturating_add(*len)).await?,
            )),
        }
    }

    /// The indexes of the elements of a job of which there are capsules, in ascending order.
    pub async fn list(store: &Store, id: &JobId) -> Result<Vec<u64>> {
        let listed = store.list(&id.capsule_prefix()).await?;
        let name = |key: &Key| key.as_str().rsplit_once('/')?.1.parse().ok();
        let mut indexes: Vec<u64> = listed.iter().filter_map(|object| name(&object.key)).collect();
        indexes.sort_unstable();
        Ok(indexes)
    }
}

/// Keeps capsules of one job, up to the limits.
#[derive(Debug)]
pub struct Capsules {
    store: Store,
    id: JobId,
    program: String,
    /// How many there are and how many bytes they have; read when the first is written.
    kept: Option<(usize, u64)>,
    /// The shared value as an object, once it is one.
    shared: Option<Payload>,
}

impl Capsules {
    /// The capsules of this job, whose program is this file. Nothing is written until there is one.
    pub fn new(store: &Store, id: &JobId, program: &str) -> Self {
        Self { store: store.clone(), id: id.clone(), program: program.to_owned(), kept: None, shared: None }
    }

    /// Keeps a failed element with the body of its input record; `false` when there is no room for it. Signs of life
    /// must be given for the job meanwhile.
    pub async fn keep(&mut self, spec: &JobSpec, error: &TaskError, input: &[u8]) -> Result<bool> {
        let (count, bytes) = if let Some(kept) = self.kept {
            kept
        } else {
            let listed = self.store.list(&self.id.capsule_prefix()).await?;
            (listed.len(), listed.iter().map(|object| object.size).sum())
        };
        self.kept = Some((count, bytes));
        let shared = match (&self.shared, &spec.shared) {
            (None, Some(shared @ Payload::Inline(_))) => shared.len(),
            _ => 0,
        };
        let more = input.len() as u64 + shared;
        if count >= MAX_CAPSULES || bytes.saturating_add(more) > MAX_CAPSULE_BYTES {
            return Ok(false);
        }
        let mut spec = spec.clone();
        spec.shared = self.place_shared(spec.shared).await?;
        let head = Head {
            spec,
            error: error.clone(),
            program: self.program.clone(),
            created: unix_now(),
            rustwren: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let sealed = FORM.seal(fastrand::u128(..), &head, [input])?;
        let all = bytes + sealed.len() as u64 + shared;
        self.store.put(&self.id.capsule_key(error.index)?, sealed).await?;
        self.kept = Some((count + 1, all));
        Ok(true)
    }

    /// Whether the shared value must stay in storage when the job has ended, for the capsules' sake.
    pub fn need_shared(&self) -> bool {
        self.kept.is_some_and(|(count, _)| count > 0)
    }

    async fn place_shared(&mut self, shared: Option<Payload>) -> Result<Option<Payload>> {
        let Some(Payload::Inline(parts)) = shared else {
            return Ok(shared);
        };
        if let Some(placed) = &self.shared {
            return Ok(Some(placed.clone()));
        }
        let bytes = Bytes::from(parts.concat());
        let (key, len) = (self.id.shared_key()?, bytes.len() as u64);
        self.store.put(&key, bytes).await?;
        self.shared = Some(Payload::Stored { key: key.to_string(), offset: 0, len });
        Ok(self.shared.clone())
    }
}

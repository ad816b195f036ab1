//! What a job is: written once, before its first invocation, and read by whoever attaches.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::JobId;
use super::sealed::{mend, newer};
use super::store::{Created, Store};
use crate::entry::{Entry as Function, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageId;
use crate::invoker::{JobSpec, Payload};
use crate::scheduler::retry::RetryPolicy;
use crate::scheduler::{Budget, JobOptions, OnError};
use crate::storage::Key;

/// The version that this program writes, and the last one that it reads.
const VERSION: u32 = 1;

/// What a durable job is. Kept as TOML in `jobs/<id>/manifest`; never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the manifest's form.
    version: u32,
    /// Its name.
    pub id: JobId,
    /// Who drives it, and how its inputs are found again.
    pub kind: Kind,
    /// The user's name for it.
    pub label: String,
    /// When it was made, in seconds since 1970, by the clock of the machine that made it.
    pub created: u64,
    /// The file of the program that made it.
    pub program: String,
    /// The version of RustWren that made it.
    pub rustwren: String,
    /// Which program the workers run.
    #[serde(with = "super::image_id")]
    pub image: ImageId,
    /// Which of its functions.
    pub function: Target,
    /// The name of the type of its outputs.
    pub output: String,
    /// The value that all elements share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Stored>,
    /// Its inputs, where they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// How it is run.
    #[serde(default)]
    pub options: Options,
    /// Random, so that its writer knows it again.
    nonce: String,
}

/// Who drives a durable job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The program that made it.
    Durable,
    /// A process of the provider's: the program that made it may end.
    Detached,
    /// The program that made it, which supplies the inputs again each time it is run.
    Resume,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub len: u64,
}

/// The inputs of a job, as [`InputStore`](super::InputStore) stores them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// How many elements there are.
    pub elements: u64,
    /// How many bytes they take as input records.
    pub bytes: u64,
    /// How many elements each block holds.
    pub blocks: Vec<u32>,
}

/// How a job is run: what of [`JobSpec`] and [`JobOptions`] a driver needs to go on as the first would have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// See [`JobSpec::task_timeout`].
    pub task_timeout: Option<Duration>,
    /// See [`JobSpec::concurrency`].
    pub concurrency: u32,
    /// See [`JobOptions::chunk_size`].
    pub chunk_size: Option<u32>,
    /// See [`JobOptions::workers`].
    pub workers: Option<usize>,
    /// See [`RetryPolicy::retries`].
    pub retries: Option<u32>,
    /// See [`JobOptions::budget`]; what it was raised to later stands elsewhere.
    pub budget: Budget,
    /// See [`JobOptions::on_error`].
    #[serde(with = "on_error")]
    pub on_error: OnError,
}

impl Manifest {
    /// The manifest of a job. The shared value is to be given as the object that holds it, and so are the inputs.
    pub fn new(
        spec: &JobSpec,
        kind: Kind,
        options: &JobOptions,
        output: &str,
        program: &str,
    ) -> Result<Self> {
        let id = JobId::new(spec.id.as_str())?;
        let shared = match &spec.shared {
            None => None,
            Some(Payload::Stored { key, offset: 0, len }) => Some(Stored { key: key.clone(), len: *len }),
            Some(_) => {
                let message = format!("the shared value of job {id} is not an object of its own");
                return Err(Error::new(ErrorKind::Internal, message));
            }
        };
        Ok(Self {
            version: VERSION,
            id,
            kind,
            label: spec.label.clone(),
            created: unix_now(),
            program: program.to_owned(),
            rustwren: env!("CARGO_PKG_VERSION").to_owned(),
            image: spec.entry.image,
            function: spec.entry.target.clone(),
            output: output.to_owned(),
            shared,
            inputs: None,
            options: Options {
                task_timeout: spec.task_timeout,
                concurrency: spec.concurrency,
                chunk_size: options.chunk_size,
                workers: options.workers,
                retries: options.retry.retries,
                budget: options.budget,
                on_error: options.on_error,
            },
            nonce: format!("{:032x}", fastrand::u128(..)),
        })
    }

    /// What its invocations have in common.
    pub fn spec(&self) -> JobSpec {
        let shared = self.shared.as_ref();
        JobSpec {
            id: self.id.to_string(),
            label: self.label.clone(),
            entry: Function { image: self.image, target: self.function.clone() },
            shared: shared.map(|s| Payload::Stored { key: s.key.clone(), offset: 0, len: s.len }),
            task_timeout: self.options.task_timeout,
            concurrency: self.options.concurrency.max(1),
        }
    }

    /// How it is run; the seed is the caller's.
    pub fn job_options(&self, seed: u64) -> JobOptions {
        JobOptions {
            chunk_size: self.options.chunk_size,
            workers: self.options.workers,
            retry: RetryPolicy { retries: self.options.retries },
            budget: self.options.budget,
            on_error: self.options.on_error,
            seed,
            ..JobOptions::default()
        }
    }

    /// An error unless the job's outputs are of this type.
    pub fn check_output(&self, wanted: &str) -> Result<()> {
        if self.output == wanted {
            return Ok(());
        }
        let message = format!("job {} gives outputs of type {}, not {wanted}", self.id, self.output);
        Err(Error::new(ErrorKind::Config, message)
            .with_hint(format!("attach to it as `attach::<{}>`", self.output)))
    }

    /// The job's manifest. That there is no such job is an error of kind [`Config`](ErrorKind::Config).
    pub async fn read(store: &Store, id: &JobId) -> Result<Self> {
        Self::read_opt(store, id).await?.ok_or_else(|| {
            let place = store.storage().location();
            Error::new(ErrorKind::Config, format!("there is no job {id} in {place}"))
                .with_hint("`rustwren jobs list` shows the jobs that are there")
        })
    }

    /// The job's manifest; `None` when there is none.
    pub async fn read_opt(store: &Store, id: &JobId) -> Result<Option<Self>> {
        let key = id.manifest_key()?;
        match store.get_opt(&key).await? {
            Some(bytes) => Self::decode(&bytes, id, &key).map(Some),
            None => Ok(None),
        }
    }

    /// Writes it, unless the job has one: then that one is handed back.
    pub async fn write(&self, store: &Store) -> Result<Option<Self>> {
        let key = self.id.manifest_key()?;
        match store.create(&key, self.encode()?).await? {
            Created::Ours => Ok(None),
            Created::Other(found) => Self::decode(&found, &self.id, &key).map(Some),
            Created::Vanished => Err(super::journal::removed(&self.id, None)),
        }
    }

    fn encode(&self) -> Result<Bytes> {
        let text = toml::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the manifest of job {} cannot be encoded", self.id))
                .with_source(error)
        })?;
        Ok(text.into())
    }

    fn decode(bytes: &Bytes, id: &JobId, key: &Key) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let broken = |error: toml::de::Error| {
            Error::new(ErrorKind::Internal, format!("object {key} is no manifest of a job"))
                .with_source(error)
                .with_hint(mend(id))
        };
        // The version first: of a later one nothing else is known.
        let Versioned { version } = toml::from_slice(bytes).map_err(broken)?;
        if version > VERSION {
            return Err(newer("manifest", key, version, VERSION));
        }
        let manifest: Self = toml::from_slice(bytes).map_err(broken)?;
        if manifest.id != *id {
            let message = format!("object {key} is the manifest of another job, {}", manifest.id);
            return Err(Error::new(ErrorKind::Internal, message).with_hint(mend(id)));
        }
        Ok(manifest)
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a date for people")]
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

mod on_error {
    use super::{Deserialize, Deserializer, OnError, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(on_error: &OnError, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match on_error {
            OnError::FailFast => "fail-fast",
            OnError::Collect => "collect",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OnError, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "fail-fast" => Ok(OnError::FailFast),
            "collect" => Ok(OnError::Collect),
            other => Err(serde::de::Error::custom(format!("{other:?} is not `fail-fast` or `collect`"))),
        }
    }
}

//! What a service of objects has to say for itself. All else is the same for every storage over a network.

use std::fmt::Debug;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};

use super::list::list;
use super::pace::Pace;
use super::parts::Parts;
use super::prefix::Prefix;
use super::read::{Opened, read};
use super::slots::Unreceived;
use super::tries::{Tries, Trouble};
use crate::error::BackendError;
use crate::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};

/// An operation, for messages and for the permission that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reading an object, or what is known of it.
    Read,
    /// Writing an object.
    Write,
    /// Listing objects.
    List,
    /// Removing an object.
    Delete,
}

impl Operation {
    /// What is being done: `reading`.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "reading",
            Self::Write => "writing",
            Self::List => "listing",
            Self::Delete => "deleting",
        }
    }
}

/// What the requests of one storage have in common.
#[derive(Debug)]
pub struct Common {
    /// What the names of all objects begin with.
    pub prefix: Prefix,
    /// How large ones travel.
    pub parts: Parts,
    pace: Pace,
}

impl Common {
    /// At full pace.
    pub fn new(prefix: Option<Key>, parts: Parts) -> Self {
        Self { prefix: prefix.into(), parts, pace: Pace::default() }
    }

    /// A request, not tried yet.
    pub fn tries(&self) -> Tries<'_> {
        Tries::new(&self.pace)
    }

    /// Whether so many bytes are written in parts.
    pub fn is_large(&self, len: usize) -> bool {
        len as u64 > 2 * self.parts.size
    }
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, to the second.
    pub modified: Option<SystemTime>,
}

/// A part of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects that keys name; what others have put there under other names is none of ours.
    pub objects: Vec<ObjectMeta>,
    /// Where the next part begins; none where this is the last.
    pub next: Option<String>,
}

/// In which order a service lists names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of bytes, as storages list keys.
    Bytes,
    /// That of UTF-16. It is the same but for characters from U+E000 on: those beyond sixteen bits come before them in the
    /// one and after them in the other.
    Utf16,
}

/// A service of objects, by its requests. Whatever is one is a [`Storage`].
///
/// Unless it says otherwise, a method tries again what fails in passing ([`Common::tries`]).
pub trait Service: Debug + Send + Sync + 'static {
    /// What comes of a request that fails.
    type Failure: Trouble;
    /// What comes of a body that breaks off.
    type BodyError: Send;
    /// The body of an answer.
    type Body: Stream<Item = Result<Bytes, Self::BodyError>> + Unpin + Send;

    /// In which order it lists names.
    const ORDER: Order = Order::Bytes;
    /// What to do where it lists them in another.
    const OUT_OF_ORDER: &str;

    /// What its requests have in common.
    fn common(&self) -> &Common;

    /// Where the object of this key is, for people; of no key, all of them.
    fn place(&self, key: &str) -> String;

    /// Asks once for a range of an object that is not empty, of this version where one is given, and waits until the answer
    /// begins.
    fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> impl Future<Output = Result<Opened<Self::Body>, Self::Failure>> + Send;

    /// What is known of an object.
    fn known(&self, object: &str) -> impl Future<Output = Result<Known, Self::Failure>> + Send;

    /// The mark of whoever wrote the object that is there now, empty where it has left none; none where there is no
    /// object.
    fn mark_of(&self, object: &str) -> impl Future<Output = Result<Option<String>, Self::Failure>> + Send;

    /// Writes an object; where it must be the first of its name, only then.
    fn write(
        &self,
        object: &str,
        data: &Bytes,
        if_absent: bool,
    ) -> impl Future<Output = Result<PutOutcome, Self::Failure>> + Send;

    /// Removes an object, if it is there.
    fn remove(&self, object: &str) -> impl Future<Output = Result<(), Self::Failure>> + Send;

    /// Lists objects whose names begin with this, from the beginning or from where another part has ended.
    fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> impl Future<Output = Result<Page, Self::Failure>> + Send;

    /// Whether the condition of a request does not hold: there is an object, or it is another version.
    fn is_unmet(failure: &Self::Failure) -> bool;

    /// Whether the range starts at or after the end of the object.
    fn is_past_the_end(failure: &Self::Failure) -> bool;

    /// The failure that a body which is not what it should be is.
    fn unreceived(problem: Unreceived<Self::BodyError>) -> Self::Failure;

    /// Looks whether all of an object is what was stored, where the service tells a checksum: the version can hold it.
    fn check(_whole: &Bytes, _version: Option<&str>) -> Result<(), Self::Failure> {
        Ok(())
    }

    /// The error for the caller, of an operation on this key or prefix.
    fn error(&self, failure: Self::Failure, operation: Operation, key: &str) -> BackendError;

    /// What a write with this mark came to that found an object: where an earlier attempt at it may have been carried out,
    /// that may be its own.
    fn outcome_of_existing(
        &self,
        object: &str,
        mark: &str,
        uncertain: bool,
    ) -> impl Future<Output = Result<PutOutcome, Self::Failure>> + Send {
        async move {
            if uncertain && self.mark_of(object).await?.as_deref() == Some(mark) {
                return Ok(PutOutcome::Created);
            }
            Ok(PutOutcome::Exists)
        }
    }
}

async fn write<S: Service>(
    service: &S,
    key: &Key,
    data: &Bytes,
    if_absent: bool,
) -> StorageResult<PutOutcome> {
    let object = service.common().prefix.object(key.as_str());
    let written = service.write(&object, data, if_absent).await;
    written.map_err(|failure| service.error(failure, Operation::Write, key.as_str()))
}

#[async_trait]
impl<S: Service> Storage for S {
    fn location(&self) -> String {
        self.place("")
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        write(self, key, &data, false).await.map(drop)
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        write(self, key, &data, true).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        read(self, key, 0..u64::MAX).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        if range.is_empty() {
            // Empty wherever it lies, but of nothing where there is no object.
            return self.head(key).await.map(|_| Bytes::new());
        }
        read(self, key, range).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let known = self.known(&self.common().prefix.object(key.as_str())).await;
        let Known { size, modified } =
            known.map_err(|failure| self.error(failure, Operation::Read, key.as_str()))?;
        Ok(ObjectMeta { key: key.clone(), size, modified })
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        list(self, prefix)
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        let removed = self.remove(&self.common().prefix.object(key.as_str())).await;
        removed.map_err(|failure| self.error(failure, Operation::Delete, key.as_str()))
    }
}

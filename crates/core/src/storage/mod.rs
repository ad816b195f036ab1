//! Object storage: where images, shared data, large inputs and large results travel.
//!
//! # For implementors
//!
//! - **Keys** are validated [`Key`]s: relative, `/`-separated, no empty, `.` or `..` part. An implementation
//!   keeps every key under its own bucket, prefix or directory.
//! - **Atomicity**: an object is visible whole or not at all. A failed or cancelled write leaves the old
//!   object (or none) or, where only its answer was lost, the new one; never a part.
//! - **Read after write**: once `put`, `put_if_absent` or `delete` has returned, every later `get`, `head` and
//!   `list` by any client sees it.
//! - **Durability**: once a write has returned, the object survives the death of the process and of the
//!   machine, as far as the medium can promise.
//! - **Absence** is [`ErrorClass::NotFound`](crate::error::ErrorClass::NotFound), and nothing else is: a read
//!   that could not be made is never reported as a miss.
//! - Errors are classed once, here. An implementation retries nothing that its class would let the caller retry,
//!   beyond what its client library does within a bounded time.

use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::error::BackendError;

mod ext;
mod key;
mod memory;
mod memory_factory;
mod prefixed;
mod range;
pub mod remote;

pub use ext::StorageExt;
pub use key::{Key, MAX_KEY_BYTES};
pub use memory::MemoryStorage;
pub use memory_factory::MemoryStorageFactory;
pub use prefixed::PrefixedStorage;
pub use range::cut_range;

/// The result of a storage operation.
pub type StorageResult<T> = Result<T, BackendError>;

/// What `put_if_absent` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object was created by this call.
    Created,
    /// The object was there already and is unchanged.
    Exists,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, where the provider tells.
    pub modified: Option<SystemTime>,
}

/// A flat store of immutable-by-convention objects.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug + 'static {
    /// A short name for messages, without secrets: `s3://bucket/prefix`, `file:///path`.
    fn location(&self) -> String;

    /// Whether objects outlive this process. Where they do not, nothing is stored for later.
    fn is_durable(&self) -> bool {
        true
    }

    /// Writes an object, replacing any that is there.
    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()>;

    /// Writes an object unless one is there. Of any number of racing calls for one key exactly one creates it.
    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome>;

    /// Reads a whole object.
    async fn get(&self, key: &Key) -> StorageResult<Bytes>;

    /// Reads bytes `range.start..range.end` of an object. A range that ends after the object is cut at its
    /// end, so one that starts at its end is empty; one that starts after it is
    /// [`Invalid`](crate::error::ErrorClass::Invalid). An empty range (`start >= end`) of an existing object is
    /// empty wherever it lies. [`cut_range`] holds these rules.
    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes>;

    /// What is known of an object.
    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta>;

    /// Every object whose key starts with `prefix` (a plain string prefix; empty for all), in ascending byte
    /// order of keys. A prefix that no valid key can start with lists nothing. Objects written or deleted while
    /// the stream runs may or may not be seen. After an error the stream ends.
    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>>;

    /// Removes an object. Removing one that is not there is no error.
    async fn delete(&self, key: &Key) -> StorageResult<()>;
}

//! The conformance suite of [`Storage`]: every promise of its contract as a function that panics when an
//! implementation breaks it.
//!
//! A backend calls [`run_all`] from a test. What a stand-in (an emulator, say) is known to get wrong is declared
//! as [`Gap`]s; everything else runs. Each check works below a fresh random prefix and cleans up behind itself
//! when it passes, so that a suite can run against a bucket that others use.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::expect_used,
    reason = "checks panic when they fail, as the first paragraph says"
)]

use std::sync::Arc;

use bytes::Bytes;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{Key, Storage, StorageExt, StorageResult};

pub use crate::checks::Gap;
use crate::checks::{Check, checks, failing};

mod basics;
mod listing;
mod model;
mod races;

pub use basics::{
    absence_is_not_found, any_valid_key_works, deleting_is_idempotent, key_and_key_below_it, long_keys_work,
    metadata_is_that_of_the_object, objects_come_back, overwriting_replaces, put_if_absent_keeps, ranges,
    writes_are_read_at_once,
};
pub use listing::{empty_listings, listing_is_by_string_prefix, listing_is_in_byte_order, long_listings};
pub use model::agrees_with_a_map;
pub use races::{concurrent_deletes, one_writer_creates, readers_see_whole_versions};

/// Every check, by name.
const CHECKS: &[(&str, Check<dyn Storage>)] = checks![
    objects_come_back,
    overwriting_replaces,
    absence_is_not_found,
    metadata_is_that_of_the_object,
    ranges,
    put_if_absent_keeps,
    deleting_is_idempotent,
    any_valid_key_works,
    long_keys_work,
    key_and_key_below_it,
    writes_are_read_at_once,
    empty_listings,
    listing_is_by_string_prefix,
    listing_is_in_byte_order,
    long_listings,
    one_writer_creates,
    readers_see_whole_versions,
    concurrent_deletes,
    agrees_with_a_map,
];

/// Runs every check but those declared as gaps.
///
/// # Panics
///
/// When a check fails, after all have run, with the names of those that did; and when a gap names no check.
pub async fn run_all(storage: Arc<dyn Storage>, gaps: &[Gap]) {
    let failed = failing(&*storage, CHECKS, gaps).await;
    assert!(
        failed.is_empty(),
        "{} does not keep the contract of storage: {failed:?} failed",
        storage.location()
    );
}

/// A part of the store under test that no one else uses.
pub(crate) struct Scratch<'a> {
    storage: &'a dyn Storage,
    prefix: String,
}

impl<'a> Scratch<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> Self {
        Self { storage, prefix: format!("suite-{:016x}/", fastrand::u64(..)) }
    }

    /// The full name of an object or prefix.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        Key::new(self.name(name)).expect("the suite makes valid keys")
    }

    pub(crate) async fn put(&self, name: &str, data: impl Into<Bytes>) {
        let done = self.storage.put(&self.key(name), data.into()).await;
        done.unwrap_or_else(|error| panic!("put {name:?}: {error}"));
    }

    pub(crate) async fn get(&self, name: &str) -> Bytes {
        let got = self.storage.get(&self.key(name)).await;
        got.unwrap_or_else(|error| panic!("get {name:?}: {error}"))
    }

    pub(crate) async fn delete(&self, name: &str) {
        let done = self.storage.delete(&self.key(name)).await;
        done.unwrap_or_else(|error| panic!("delete {name:?}: {error}"));
    }

    /// The names listed, less the scratch prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Vec<String> {
        let listed = self.storage.list_all(&self.name(prefix)).await;
        let listed = listed.unwrap_or_else(|error| panic!("list {prefix:?}: {error}"));
        let names = listed.iter().map(|object| object.key.as_str().strip_prefix(&self.prefix));
        names.map(|name| name.expect("a listing holds only its prefix").to_owned()).collect()
    }

    /// Removes everything and makes sure that it is gone.
    pub(crate) async fn clean(self) {
        let removed = self.storage.delete_prefix(&self.prefix).await;
        removed.unwrap_or_else(|error| panic!("delete everything below {:?}: {error}", self.prefix));
        assert_eq!(self.list("").await, [""; 0], "left after everything was deleted");
    }
}

/// Checks that an operation failed, and as what.
#[track_caller]
pub(crate) fn assert_fails<T: std::fmt::Debug>(result: StorageResult<T>, class: ErrorClass, what: &str) {
    match result {
        Ok(value) => panic!("{what} should fail as {class:?} but gave {value:?}"),
        Err(error) => assert_eq!(error.class(), class, "{what}: {error}"),
    }
}

/// Bytes in which no long run occurs twice, so that a part in the wrong place shows.
pub(crate) fn pattern(len: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(len as u64);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    Bytes::from(bytes)
}

//! What programs have put into storage, as the tests read it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustwren::Error;
use rustwren_core::clock::TokioClock;
use rustwren_core::codec;
use rustwren_core::config::{Config, LoadOptions};
use rustwren_core::durable::{
    BeatWatch, CommittedByIdentity, CommittedByIndex, Entry, Identities, JobId, Journal, Life, Logged, Store,
};
use rustwren_core::storage::StorageExt;

use crate::harness::Place;

/// The storage of a place.
pub(crate) struct Kept {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl Kept {
    pub(crate) fn of(place: &Place) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let registry = rustwren::__cli::registry();
        let root = place.path("cache/storage").display().to_string();
        let options = LoadOptions::empty().working_dir(place.path("outer")).set("storage.root", root);
        let config = Config::load(&registry, &options).unwrap();
        let storage = runtime.block_on(registry.build_storage(config.storage())).unwrap();
        Self { runtime, store: Store::new(storage, Arc::new(TokioClock::new())) }
    }

    /// The jobs that have a manifest.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        let listed = self.runtime.block_on(self.store.storage().list_all("jobs/")).unwrap();
        let names = listed.iter().filter_map(|object| JobId::of_key(&object.key));
        names.filter(|(_, name)| *name == "manifest").map(|(id, _)| id).collect()
    }

    /// All entries of a job's journal.
    pub(crate) fn entries(&self, id: &JobId) -> Vec<Logged> {
        self.runtime.block_on(Journal::open(&self.store, id.clone()).entries()).unwrap()
    }

    /// How often somebody has taken the lead.
    pub(crate) fn leads(&self, id: &JobId) -> usize {
        self.entries(id).iter().filter(|logged| matches!(logged.entry, Entry::Lead(_))).count()
    }

    /// The elements of a durable job that have an outcome.
    pub(crate) fn by_index(&self, id: &JobId, count: u64) -> BTreeSet<u64> {
        let mut committed = CommittedByIndex::new(id);
        for logged in self.entries(id) {
            committed.add(&logged).unwrap();
        }
        (0..count).filter(|index| committed.contains(*index)).collect()
    }

    /// The inputs with a result in any job of the storage that is resumed by content.
    pub(crate) fn by_content<T: serde::Serialize>(&self, inputs: impl Iterator<Item = T>) -> BTreeSet<u64> {
        let mut committed = CommittedByIdentity::new();
        for id in self.jobs() {
            for logged in self.entries(&id) {
                committed.add(&id, &logged).unwrap();
            }
        }
        let mut identities = Identities::default();
        let named = (0..).zip(inputs.map(|input| identities.next(&codec::to_vec(&input).unwrap())));
        named.filter(|(_, identity)| committed.contains(identity)).map(|(index, _)| index).collect()
    }

    /// The process that drives a job.
    pub(crate) fn driver(&self, id: &JobId) -> Option<i32> {
        let life: Result<Life, Error> = self.runtime.block_on(BeatWatch::new(&self.store, id).look());
        match life.unwrap() {
            Life::Alive(beat) if !beat.handed_over => Some(beat.owner.pid.cast_signed()),
            _ => None,
        }
    }
}

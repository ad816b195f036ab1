//! The suites over workers that know the client by bytes alone, and what of a pipeline passes through the client and lies
//! in the storage that both have.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustwren::blocking::block_on;
use rustwren::prelude::*;
use rustwren::storage::{Storage, StorageExt};
use rustwren_core::clock::TokioClock;
use rustwren_core::codec;
use rustwren_core::durable::jobs::{Selection, clean};
use rustwren_core::durable::{Capsule, JobId, Owner, Store};
use rustwren_directory::DirectoryStorage;
use rustwren_runtime::host::Room;
use rustwren_tests::hosted::Place;
use rustwren_tests::suite::passing;
use rustwren_tests::{Backend, BoxFuture, trial};

/// Programs are packed once for all tests.
fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn connect() -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async { Place::default().connect(cache()).await })
}

fn main() -> ExitCode {
    let backend = Backend { name: "hosted", connect, short_lived: None, gaps: GAPS };
    rustwren_tests::main_with(&[backend], SINGLES.iter().map(|&(name, run)| trial(name, run)).collect())
}

const GAPS: &[(&str, &str)] = &[(
    "rustwren_tests::suite::jobs::own_objects_of_tasks",
    "the storage is in the client's memory, where no task can reach it",
)];

const SINGLES: &[(&str, fn())] = &[
    ("short_answers", short_answers),
    ("results_and_items_in_one_object", results_and_items_in_one_object),
    ("large_items_stay_out_of_the_client", large_items_stay_out_of_the_client),
    ("small_items_ride_in_the_answers", small_items_ride_in_the_answers),
    ("an_item_that_is_lost_between_two_steps", an_item_that_is_lost_between_two_steps),
    ("a_failed_item_is_kept_in_full", a_failed_item_is_kept_in_full),
    ("a_client_that_dies_leaves_what_a_clean_finds", a_client_that_dies_leaves_what_a_clean_finds),
];

/// Answers are so short that what passes by reference has no room in them either.
fn short_answers() {
    for (_, run) in passing::TESTS {
        let place = Place { room: Room { inline: 500, ..Room::STREAM }, ..Place::default() };
        block_on(async { run(place.connect(cache()).await.unwrap()).await });
    }
}

/// Results without room in the answer and items of the next job lie in the same objects: these stay when the first job is
/// over and has its results.
fn results_and_items_in_one_object() {
    let place = Place { room: Room { inline: 500, ..Room::STREAM }, ..Place::default() };
    let len = |x: u64| if x.is_multiple_of(2) { 100_000 } else { 1000 };
    block_on(async {
        let executor = place.connect(cache()).await.unwrap();
        let done = Pipeline::new(0..100_u64)
            .map(move |x| vec![0_u8; len(x)])
            .chunk_size(10)
            .map(|bytes: Vec<u8>| bytes.len())
            .workers(1)
            .chunk_size(1)
            .run(&executor)
            .await
            .unwrap();
        assert_eq!(done.items, (0..100).map(len).collect::<Vec<_>>());
        assert_eq!(place.storage.list_all("jobs/").await.unwrap(), []);
    });
}

const MIB: usize = 1 << 20;

/// What passes through the client when `count` items of `len` bytes go from one job to another.
async fn passed(count: u64, len: usize) -> u64 {
    let place = Place::default();
    let executor = place.connect(cache()).await.unwrap();
    let done = Pipeline::new((0..count).map(move |x| (x, len)))
        .map(|(x, len): (u64, usize)| x.to_string().repeat(len)[..len].to_owned())
        .chunk_size(4)
        .map(|text: String| text.len())
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, vec![len; count as usize]);
    assert_eq!(
        place.storage.list_all("jobs/").await.unwrap(),
        [],
        "nothing is left, not even a sign of life"
    );
    place.counts.bytes()
}

fn large_items_stay_out_of_the_client() {
    let passed = block_on(passed(20, MIB));
    assert!(passed < MIB as u64 / 4, "{passed} of {} bytes", 20 * MIB);
}

fn small_items_ride_in_the_answers() {
    let passed = block_on(passed(1000, 1000));
    // Once with the answer of the first job, once with the invocations of the second.
    assert!(passed > 2_000_000, "{passed}");
}

fn an_item_that_is_lost_between_two_steps() {
    let place = Place::default();
    place.counts.lose.store(true, Ordering::Relaxed);
    block_on(async {
        let executor = place.connect(cache()).await.unwrap();
        let pipeline = Pipeline::new(0..10_u64)
            .map(|x| x.to_string().repeat(MIB))
            .chunk_size(2)
            .map(|text: String| text.len());
        let error = pipeline.run(&executor).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("an output of the step before is no longer in"), "{text}");
        assert!(text.contains("/out/") && error.hint().is_some(), "{text}");
        assert_eq!(place.storage.list_all("jobs/").await.unwrap(), []);
    });
}

/// For storage that is used without an executor.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn a_failed_item_is_kept_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(DirectoryStorage::open(dir.path()).unwrap());
    for on_error in [OnError::FailFast, OnError::Collect] {
        let place = Place { storage: Arc::clone(&storage), ..Place::default() };
        let failed = block_on(async {
            let executor = place.connect(cache()).await.unwrap();
            let pipeline = Pipeline::new(0..10_u64)
                .map(|x| x.to_string().repeat(MIB))
                .chunk_size(2)
                .try_map(|text: String| if text.starts_with('7') { Err("unlucky") } else { Ok(text.len()) })
                .on_error(on_error);
            match pipeline.run(&executor).await {
                Ok(done) => done.failed,
                Err(error) => error.tasks().to_vec(),
            }
        });
        let repro = failed[0].repro.clone().unwrap();
        let id = JobId::new(repro.split(' ').nth(2).unwrap()).unwrap();
        let store = Store::new(Arc::clone(&storage), Arc::new(TokioClock::new()));
        let capsule = runtime().block_on(Capsule::read(&store, &id, 7)).unwrap();
        let input: String = codec::decode(&capsule.input).unwrap();
        assert!(input == "7".repeat(MIB), "{on_error:?}: {} bytes", input.len());
    }
}

fn a_client_that_dies_leaves_what_a_clean_finds() {
    let dir = tempfile::tempdir().unwrap();
    let storage = dir.path().join("storage");
    let mut client = Command::new(env!("CARGO_BIN_EXE_pipes"))
        .arg("halt")
        .args([&*storage, cache()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "half way\n");
    client.kill().unwrap();
    client.wait().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(DirectoryStorage::open(storage).unwrap());
    runtime().block_on(async {
        let kept = storage.list_all("jobs/").await.unwrap();
        assert!(kept.iter().any(|object| object.key.as_str().contains("/out/")), "{kept:?}");
        let store = Store::new(Arc::clone(&storage), Arc::new(TokioClock::new()));
        let cleaned = clean(&store, &Selection::All, false, &Owner::of_process("test")).await.unwrap();
        assert!(cleaned.kept.is_empty() && !cleaned.removed.is_empty(), "{cleaned:?}");
        assert_eq!(storage.list_all("jobs/").await.unwrap(), []);
    });
}

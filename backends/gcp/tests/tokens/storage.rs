//! Tokens of storage.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join_all;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::Parts;
use rustwren_core::storage::{Key, PutOutcome, Storage, StorageExt, StorageResult};
use rustwren_gcp::GcsStorage;
use rustwren_gcp::client::Access;
use rustwren_gcp::config::StorageConfig;
use rustwren_testkit::standins::{Gcs, Verdict};

use crate::{EARLY, HOUR, Source, pass};

struct World {
    source: Source,
    gcs: Gcs,
    storage: GcsStorage,
    /// The tokens of the requests that were let in.
    used: Arc<Mutex<Vec<usize>>>,
}

impl World {
    async fn new() -> Self {
        let (source, gcs) = (Source::new(), Gcs::start());
        let config = StorageConfig {
            access: Access {
                endpoint: Some(gcs.endpoint()),
                metadata: Some(source.server.endpoint()),
                ..Access::default()
            },
            bucket: gcs.new_bucket(),
            prefix: None,
            parts: Parts { size: 256 << 10, parallel: 4 },
        };
        let (tokens, used) = (Arc::clone(&source.tokens), Arc::<Mutex<Vec<usize>>>::default());
        let seen = Arc::clone(&used);
        gcs.judge(move |request| match tokens.of_access(request) {
            Some(number) => {
                seen.lock().unwrap().push(number);
                Verdict::Pass
            }
            None => Verdict::gcs_error(401, "authError", "Invalid Credentials", &[]),
        });
        let storage = GcsStorage::open(&config).await.unwrap();
        Self { source, gcs, storage, used }
    }

    fn given(&self) -> usize {
        self.source.tokens.given()
    }

    fn used(&self) -> Vec<usize> {
        std::mem::take(&mut self.used.lock().unwrap())
    }
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn large() -> Bytes {
    Bytes::from(vec![7; 1_100_000])
}

/// Everything that can be done with objects, one after the other, by names for messages.
async fn everything(storage: &GcsStorage, between: impl Fn(&str)) -> Vec<(&'static str, StorageResult<()>)> {
    let (small, big) = (key("small"), key("large"));
    let mut done = Vec::new();
    macro_rules! one {
        ($name:literal, $work:expr) => {
            between($name);
            done.push(($name, $work.await.map(drop)));
        };
    }
    one!("put", storage.put(&small, Bytes::from_static(b"v")));
    one!("put of much", storage.put(&big, large()));
    one!("put if absent", storage.put_if_absent(&key("new"), Bytes::from_static(b"v")));
    one!("get", storage.get(&small));
    one!("get of much", storage.get(&big));
    one!("get of a range", storage.get_range(&big, 10..20));
    one!("head", storage.head(&small));
    one!("list", storage.list_all(""));
    one!("delete", storage.delete(&small));
    done
}

#[tokio::test]
async fn one_token_does_for_many_requests_and_is_renewed_before_it_expires() {
    let world = World::new().await;
    for (name, outcome) in everything(&world.storage, |_| {}).await {
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(world.given(), 1);
    assert!(world.used().iter().all(|number| *number == 1));
    // Nobody asks for it: it is renewed by itself.
    pass(HOUR.saturating_sub(EARLY) + std::time::Duration::from_secs(1)).await;
    world.source.gives(2).await;
    // Had it not been, the next request would wait for it.
    pass(EARLY).await;
    world.storage.get(&key("large")).await.unwrap();
    assert!(world.used().iter().all(|number| *number == 2));
    assert_eq!(world.given(), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_before_its_time_is_replaced_once_and_nothing_is_lost() {
    let world = World::new().await;
    world.storage.list_all("").await.unwrap();
    let revoke = |_: &str| world.source.tokens.revoke();
    for (at, (name, outcome)) in everything(&world.storage, revoke).await.into_iter().enumerate() {
        outcome.unwrap_or_else(|error| panic!("{name}, the {at}th: {error}"));
    }
    assert_eq!(world.given(), 10, "the first, and one for each that was revoked");
    assert!(world.storage.get(&key("large")).await.unwrap() == large());
    assert!(!world.storage.exists(&key("small")).await.unwrap());
}

#[tokio::test]
async fn one_new_token_is_enough_for_all_that_were_refused() {
    let world = World::new().await;
    world.storage.put(&key("k"), Bytes::from_static(b"v")).await.unwrap();
    world.source.tokens.revoke();
    world.used();
    let reads = join_all((0..20).map(|_| async { world.storage.get(&key("k")).await })).await;
    assert!(reads.into_iter().all(|read| read.unwrap() == "v"));
    assert_eq!(world.given(), 2);
    assert_eq!(world.used(), [2; 20]);
}

#[tokio::test]
async fn a_write_is_carried_out_once_though_its_token_expires_meanwhile() {
    let world = World::new().await;
    for size in [3, 1_100_000] {
        let k = key(&size.to_string());
        world.source.tokens.revoke();
        let outcome = world.storage.put_if_absent(&k, large().slice(..size)).await.unwrap();
        assert_eq!(outcome, PutOutcome::Created, "{size} bytes");
        world.source.tokens.revoke();
        let outcome = world.storage.put_if_absent(&k, large().slice(..size)).await.unwrap();
        assert_eq!(outcome, PutOutcome::Exists, "{size} bytes");
    }
    assert_eq!(world.gcs.unfinished_uploads(), 0);
}

#[tokio::test]
async fn tokens_that_are_refused_again_and_again_are_an_error_with_its_mend() {
    let world = World::new().await;
    world.gcs.judge(|_| Verdict::gcs_error(401, "authError", "Invalid Credentials", &[]));
    let counts = Mutex::new(Vec::new());
    let outcomes = everything(&world.storage, |_| counts.lock().unwrap().push(world.gcs.served())).await;
    counts.lock().unwrap().push(world.gcs.served());
    for ((name, outcome), counts) in outcomes.into_iter().zip(counts.into_inner().unwrap().windows(2)) {
        let error = outcome.unwrap_err();
        denied(&error, "Invalid Credentials");
        assert!(error.hint().is_some_and(|hint| hint.contains("log in again")), "{name}: {error:?}");
        assert!(!format!("{error:?}").contains("access-"), "{error:?}");
        assert_eq!(counts[1] - counts[0], 2, "{name} is sent twice, and no more");
    }
}

#[tokio::test]
async fn credentials_that_give_no_token_are_an_error_with_its_mend_and_are_asked_again() {
    let world = World::new().await;
    world.storage.list_all("").await.unwrap();
    world.source.tokens.revoke();
    world.source.tokens.refuse_next(403);
    let error = world.storage.get(&key("k")).await.unwrap_err();
    denied(&error, "/k");
    assert!(error.hint().is_some_and(|hint| hint.contains("gcloud auth")), "{error:?}");
    world.storage.put(&key("k"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(world.given(), 2);
}

#[track_caller]
fn denied(error: &BackendError, words: &str) {
    assert_eq!(error.class(), ErrorClass::Denied, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

//! Many clients at once. Operations run interleaved; an implementation decides whether also in parallel.

use bytes::Bytes;
use futures_util::future::{join, join_all};
use rustwren_core::storage::{PutOutcome, Storage, StorageExt};

use super::Scratch;

const WRITERS: usize = 64;
const ROUNDS: usize = 20;

/// Of 64 racing `put_if_absent`s exactly one creates the object, and the object is that writer's.
pub async fn one_writer_creates(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    for round in 0..ROUNDS {
        let name = format!("round/{round}");
        let key = scratch.key(&name);
        let races = (0..WRITERS).map(|writer| storage.put_if_absent(&key, version(writer)));
        let outcomes = join_all(races).await;
        let outcomes = outcomes.into_iter().map(|outcome| outcome.expect("put_if_absent")).enumerate();
        let winners: Vec<_> = outcomes
            .filter(|(_, outcome)| *outcome == PutOutcome::Created)
            .map(|(writer, _)| writer)
            .collect();
        assert_eq!(winners.len(), 1, "writers that created the object in round {round}: {winners:?}");
        assert!(
            scratch.get(&name).await == version(winners[0]),
            "the object is not the winner's in round {round}"
        );
    }
    scratch.clean().await;
}

/// A reader beside a writer of ever different versions sees one of them, whole, and never none.
pub async fn readers_see_whole_versions(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    scratch.put("k", version(0)).await;
    let key = scratch.key("k");
    let write = async |first: usize| {
        for i in 0..100 {
            scratch.put("k", version(first + i % 10)).await;
            tokio::task::yield_now().await;
        }
    };
    let read = async || {
        for _ in 0..200 {
            assert_version(&scratch.get("k").await);
            let size = storage.head(&key).await.expect("head").size as usize;
            assert!((0..64).any(|i| version_len(i) == size), "there is no version of {size} bytes");
            let start = storage.get_range(&key, 0..1_000).await.expect("get_range");
            assert!(start.iter().all(|byte| *byte == start[0]), "a range of two versions");
            assert_eq!(scratch.list("").await, ["k"]);
            tokio::task::yield_now().await;
        }
    };
    join(join(write(0), write(10)), join(read(), read())).await;
    assert_version(&scratch.get("k").await);
    scratch.clean().await;
}

/// Deletes that race with each other all succeed; those that race with writes leave whole objects or none.
pub async fn concurrent_deletes(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    for round in 0..ROUNDS {
        // Below one directory, which empties and fills again.
        let names: Vec<_> = (0..16).map(|i| format!("d/{}/{i}", i % 3)).collect();
        join_all(names.iter().map(|name| scratch.put(name, version(round)))).await;
        let deletes = join_all(names.iter().chain(&names).map(|name| scratch.delete(name)));
        let writes = join_all(names.iter().map(|name| {
            let (key, scratch) = (scratch.key(&format!("{name}.new")), &scratch);
            async move {
                let created = storage.put_if_absent(&key, version(round)).await.expect("put_if_absent");
                assert_eq!(created, PutOutcome::Created);
                scratch.put(name, version(round + 1)).await;
            }
        }));
        join(deletes, writes).await;
        for name in &names {
            assert!(
                scratch.get(&format!("{name}.new")).await == version(round),
                "a write beside deletes is lost"
            );
            if let Some(object) = storage.get_opt(&scratch.key(name)).await.expect("get_opt") {
                assert_version(&object);
            }
        }
        storage.delete_prefix(&scratch.name("d/")).await.expect("delete_prefix");
        assert_eq!(scratch.list("").await, [""; 0]);
    }
    scratch.clean().await;
}

/// What writer `i` writes: bytes `i`, of a length that only it has.
fn version(i: usize) -> Bytes {
    Bytes::from(vec![i as u8; version_len(i)])
}

fn version_len(i: usize) -> usize {
    // From one byte to more than any buffer, in no order.
    1 + i * 37 % 64 * 4_099
}

fn assert_version(object: &Bytes) {
    let i = usize::from(*object.first().expect("an object has vanished or is empty"));
    assert!(*object == version(i), "{} bytes that begin with {i} are no whole version", object.len());
}

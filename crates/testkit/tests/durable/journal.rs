//! The journal under writers at once and a bad network.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustwren_core::durable::{Appended, Elements, Entry, JobId, Journal, Logged, Results};
use rustwren_core::protocol::records::{ResultTag, append_result};

use crate::world::{Network, World};

pub fn id() -> JobId {
    JobId::new("job").unwrap()
}

pub fn record(body: &[u8]) -> Bytes {
    let mut out = Vec::new();
    append_result(&mut out, ResultTag::Output, |out| {
        out.extend_from_slice(body);
        Ok::<_, ()>(())
    })
    .unwrap();
    out.into()
}

fn results(first: u64) -> Entry {
    let mut results = Results::default();
    results.push_run(first, 1, record(&first.to_le_bytes()));
    Entry::Results(results)
}

fn first_of(logged: &Logged) -> u64 {
    match &logged.entry {
        Entry::Results(results) => match results.groups[0].elements {
            Elements::Run { first, .. } => first,
            Elements::Identities(_) => panic!("{logged:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Many writers, and readers that read along. `entries` of each writer.
fn many_at_once(seed: u64, network: Network, writers: u64, entries: u64) {
    let read = World::run(seed, true, |world| async move {
        let left = Arc::new(Mutex::new(writers));
        for writer in 0..writers {
            let (world, left) = (world.clone(), Arc::clone(&left));
            world.clone().spawner.spawn(format!("writer {writer}"), async move {
                let mut journal = Journal::open(&world.store(network), id());
                for number in 0..entries {
                    let entry = results(writer * entries + number);
                    let nonce = world.draw(|rng| rng.u128(..));
                    // What it has read and written is a beginning of the one order: no number is seen twice.
                    let mut next = journal.next();
                    loop {
                        match journal.append_again(&entry, nonce).await {
                            Ok(Appended::Written(seq)) => {
                                assert_eq!((seq, journal.next()), (next, next + 1));
                                break;
                            }
                            Ok(Appended::Lost(logged)) => {
                                assert_eq!(logged.seq, next);
                                assert_ne!(
                                    first_of(&logged),
                                    writer * entries + number,
                                    "its own entry is lost"
                                );
                                next += 1;
                            }
                            Err(error) => assert!(error.to_string().contains("the network"), "{error}"),
                        }
                    }
                }
                *left.lock().unwrap() -= 1;
            });
        }
        let read: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
        for (reader, read) in read.iter().cloned().enumerate() {
            let (world, left) = (world.clone(), Arc::clone(&left));
            world.clone().spawner.spawn(format!("reader {reader}"), async move {
                let mut journal = Journal::open(&world.store(network), id());
                loop {
                    let ended = *left.lock().unwrap() == 0;
                    let before = read.lock().unwrap().len();
                    let take = |logged: &Logged| {
                        assert_eq!(logged.seq as usize, read.lock().unwrap().len());
                        read.lock().unwrap().push(first_of(logged));
                        Ok(())
                    };
                    let done = if reader == 0 {
                        journal.read_next().await.map(|logged| logged.iter().try_for_each(take).unwrap())
                    } else {
                        journal.read_all(take).await
                    };
                    if ended && done.is_ok() && read.lock().unwrap().len() == before {
                        break;
                    }
                    world.sleep(Duration::from_millis(100)).await;
                }
            });
        }
        read
    });
    let read: Vec<Vec<u64>> = read.iter().map(|read| read.lock().unwrap().clone()).collect();
    let all: BTreeSet<u64> = read[0].iter().copied().collect();
    assert_eq!(
        (read[0].len() as u64, all.len() as u64),
        (writers * entries, writers * entries),
        "seed {seed}"
    );
    assert!(
        read.iter().all(|other| *other == read[0]),
        "seed {seed}: readers see different orders: {read:?}"
    );
}

#[test]
fn of_many_writers_nothing_is_lost_or_doubled_and_all_see_one_order() {
    for seed in 0..30 {
        many_at_once(seed, Network::GOOD, 6, 10);
        many_at_once(seed, Network::BAD, 4, 8);
    }
}

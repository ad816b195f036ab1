//! Drivers that are killed, frozen and deposed: what was committed stays, and the job ends.

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::durable::jobs::{Selection, clean};
use rustwren_core::durable::{Appended, CommittedByIndex, JobId, Journal, Store};
use rustwren_core::error::ErrorKind;

use crate::driver::{Driver, ELEMENTS, Ended, Promised, split};
use crate::journal::id;
use crate::moment::{Moment, Stopping};
use crate::world::{Freezing, Network, World, killed_after, owner};

fn driver(world: &World, store: Store, name: String, promised: &Promised) -> Driver {
    let pause = Duration::from_secs(20);
    Driver {
        world: world.clone(),
        store,
        name,
        id: id(),
        pause,
        promised: Arc::clone(promised),
        driving: Arc::default(),
    }
}

/// What the journal says is what drivers were told.
async fn check(world: &World, id: &JobId, promised: &Promised, seed: u64) {
    let store = world.store(Network::GOOD);
    let mut journal = Journal::open(&store, id.clone());
    let mut committed = CommittedByIndex::new(id);
    let mut outcomes = Vec::new();
    journal
        .read_all(|logged| {
            outcomes.extend(committed.add(logged)?.iter().flat_map(split));
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((committed.done(), outcomes.len() as u64), (ELEMENTS, ELEMENTS), "seed {seed}");
    assert!(journal.view().end.is_some(), "seed {seed}");
    for (index, record) in outcomes {
        if let Some(promised) = promised.lock().unwrap().get(&index) {
            assert_eq!(*promised, record, "seed {seed}: element {index} was promised to be another");
        }
    }
}

#[test]
fn a_driver_killed_at_any_moment_loses_nothing() {
    let mut number = 0;
    loop {
        let finished = World::run(number, true, |world| async move {
            let promised = Promised::default();
            let moment = Moment::number(number);
            let first = driver(&world, world.store_at(&moment), "first".into(), &promised);
            // Longer than it ever takes.
            let first = Stopping::new(&moment, first.found());
            let ended = killed_after(&world, Duration::from_secs(600), first).await;
            if let Some(ended) = ended {
                assert!(matches!(ended, Ok(Ended::Done(_))), "{ended:?}");
                return true;
            }
            assert!(moment.has_come());
            let second = driver(&world, world.store(Network::GOOD), "second".into(), &promised);
            match second.attach().await {
                Ok(Ended::Done(all)) => {
                    for (index, record) in promised.lock().unwrap().iter() {
                        assert_eq!(all[index], *record);
                    }
                    check(&world, &id(), &promised, number).await;
                }
                // It had not come as far as a manifest.
                Err(error) if error.kind() == ErrorKind::Config => {
                    assert!(error.hint().unwrap().contains("jobs list"), "{error}");
                    assert!(promised.lock().unwrap().is_empty());
                }
                other => panic!("{other:?}"),
            }
            let store = world.store(Network::GOOD);
            let cleaned = clean(&store, &Selection::All, false, &owner("clean")).await.unwrap();
            assert!(cleaned.kept.is_empty(), "{cleaned:?}");
            assert!(world.keys().is_empty(), "{:?}", world.keys());
            false
        });
        if finished {
            break;
        }
        number += 1;
    }
    assert!(number > 60, "it was killed at {number} moments only");
}

/// Any number of processes, killed and frozen at random, some with a bad network, until one has seen the end.
fn many_drivers(seed: u64) {
    World::run(seed, true, |world| async move {
        let promised = Promised::default();
        let founder = driver(&world, world.store(Network::GOOD), "founder".into(), &promised);
        let life = world.up_to(Duration::from_secs(60));
        if killed_after(&world, life, founder.found()).await.is_none()
            && !world.keys().iter().any(|key| key.ends_with("manifest"))
        {
            return;
        }
        for number in 0..world.draw(|rng| rng.u32(1..5)) {
            let network = if world.draw(fastrand::Rng::bool) { Network::BAD } else { Network::GOOD };
            let mut driver = driver(&world, world.store(network), format!("driver {number}"), &promised);
            driver.pause = world.up_to(Duration::from_secs(120));
            let life = world.up_to(Duration::from_secs(200));
            let frozen = world.draw(|rng| if rng.bool() { 0.01 } else { 0.0 });
            let inner = world.clone();
            world.spawner.spawn(driver.name.clone(), async move {
                let attached = Freezing::new(&inner, frozen, Duration::from_secs(100), driver.attach());
                match killed_after(&inner, life, attached).await {
                    None | Some(Ok(Ended::Done(_))) => {}
                    Some(other) => panic!("seed {seed}: {other:?}"),
                }
            });
        }
        let last = driver(&world, world.store(Network::GOOD), "last".into(), &promised);
        let ended = last.attach().await;
        assert!(matches!(ended, Ok(Ended::Done(_))), "seed {seed}: {ended:?}");
        check(&world, &id(), &promised, seed).await;
    });
}

#[test]
fn of_many_drivers_each_element_has_the_one_result_that_was_promised() {
    for seed in 0..300 {
        many_drivers(seed);
    }
}

/// A driver that wakes up after another one has taken over does not commit past it.
#[test]
fn a_deposed_driver_finds_out_at_its_next_entry() {
    World::run(1, true, |world| async move {
        use rustwren_core::durable::{Commit, Entry, Heart, Results, Taken, take_lead};
        let store = world.store(Network::GOOD);
        let promised = Promised::default();
        let founder = driver(&world, world.store_at(&Moment::number(60)), "founder".into(), &promised);
        killed_after(&world, Duration::from_secs(100), founder.found()).await;
        let lease = Duration::from_secs(15);
        let mut leaderships = Vec::new();
        for name in ["a", "b"] {
            let mut journal = Journal::open(&store, id());
            journal.entries().await.unwrap();
            let heart = Heart::start(&store, &id(), owner(name), lease, None).await.unwrap();
            let Taken::Leading(leadership) = take_lead(journal, heart, |_| Ok(())).await.unwrap() else {
                panic!("nobody else is there");
            };
            leaderships.push(leadership);
        }
        let [mut a, mut b] = <[_; 2]>::try_from(leaderships).unwrap();
        assert_eq!(b.lead().epoch, a.lead().epoch + 1);
        let entry = Entry::Results(Results::default());
        let commit = a.commit(&entry).await.unwrap();
        assert!(matches!(&commit, Commit::Deposed(lead) if lead.owner.program == "b"), "{commit:?}");
        let commit = b.commit(&entry).await.unwrap();
        assert!(matches!(commit, Commit::Written(_)), "{commit:?}");
        // And by its next sign of life.
        b.heart().beat().await.unwrap();
        let sign = a.heart().beat().await.unwrap();
        assert_eq!(sign, Some(rustwren_core::durable::Sign::Deposed(b.lead().owner.clone())));
        let mut reader = a.into_journal();
        assert!(matches!(reader.append(&entry).await.unwrap(), Appended::Lost(_)));
    });
}

//! `jobs clean` while jobs begin, run, are taken over and are cleaned by others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use rustwren_core::durable::jobs::{Cleaned, Selection, State, Why, clean, list};
use rustwren_core::durable::{JobId, Store};
use rustwren_core::error::{Error, ErrorKind};

use crate::driver::{Driver, ELEMENTS, Ended, Promised};
use crate::moment::{Moment, Stopping};
use crate::world::{Freezing, Network, World, killed_after, owner};

pub fn driver(world: &World, store: Store, name: &str, id: &str) -> Driver {
    Driver {
        world: world.clone(),
        store,
        name: name.to_owned(),
        id: JobId::new(id).unwrap(),
        pause: Duration::from_secs(20),
        promised: Promised::default(),
        driving: Arc::default(),
    }
}

async fn clean_all(store: &Store) -> Cleaned {
    clean(store, &Selection::All, false, &owner("cleaner")).await.unwrap()
}

/// After everybody is gone, a clean leaves nothing.
async fn nothing_is_left(world: &World, what: &dyn std::fmt::Debug) {
    world.sleep(Duration::from_secs(1000)).await;
    let cleaned = clean_all(&world.store(Network::GOOD)).await;
    assert!(cleaned.kept.is_empty(), "{what:?}: {cleaned:?}");
    assert!(world.keys().is_empty(), "{what:?}: {:?}", world.keys());
}

/// A job whose driver has just been killed, after some results.
pub async fn abandoned(world: &World, id: &str) {
    let driver = driver(world, world.store(Network::GOOD), "dead", id);
    let some = async {
        while !world.keys().contains(&format!("jobs/{id}/log/0000000003")) {
            world.sleep(Duration::from_millis(5)).await;
        }
    };
    let (driving, some) = (std::pin::pin!(driver.found()), std::pin::pin!(some));
    assert!(matches!(select(driving, some).await, Either::Right(_)));
}

/// Runs `script` with the numbers of moments, until a moment does not come any more. How many came.
pub fn at_every_moment<Fut: Future<Output = bool>>(script: impl Fn(World, Moment) -> Fut) -> u64 {
    for number in 0.. {
        for dates in [true, false] {
            let moment = Moment::number(number);
            if !World::run(number, dates, |world| script(world, moment)) {
                return number;
            }
        }
    }
    unreachable!("a script ends")
}

fn gone(ended: &Result<Ended, Error>) -> bool {
    match ended {
        Ok(Ended::Removed) => true,
        Ok(Ended::Done(_)) => false,
        Err(error) => error.kind() == ErrorKind::Config && error.hint().unwrap().contains("jobs list"),
    }
}

#[test]
fn a_clean_that_is_killed_is_completed_by_the_next_and_nobody_attaches_to_half_a_job() {
    let moments = at_every_moment(|world, moment| async move {
        abandoned(&world, "job").await;
        world.sleep(Duration::from_secs(100)).await;
        let cleaning = Stopping::new(&moment, clean_all_of(world.store_at(&moment)));
        let killed = killed_after(&world, Duration::from_secs(3600), cleaning).await.is_none();
        // Whoever attaches finds all of the job or none.
        let (keys, store) = (world.keys(), world.store(Network::GOOD));
        let jobs = list(&store).await.unwrap();
        let begun = jobs.iter().any(|job| job.state == State::Remains);
        let attached = driver(&world, world.store(Network::GOOD), "attached", "job").attach().await;
        let whole = keys.contains(&"jobs/job/manifest".to_owned());
        assert_eq!(gone(&attached), !whole || begun, "{attached:?} of {keys:?}");
        if !killed {
            assert!(keys.is_empty(), "{keys:?}");
        }
        // A removal that was begun is completed by any clean.
        let none = Selection::OlderThan(Duration::from_secs(1 << 30));
        clean(&store, &none, false, &owner("cleaner")).await.unwrap();
        let left = world.keys();
        assert!(!begun || left.iter().all(|key| key.contains("probe")), "{left:?}");
        nothing_is_left(&world, &"clean killed").await;
        killed
    });
    assert!(moments > 40, "it was killed at {moments} moments only");
}

async fn clean_all_of(store: Store) -> Cleaned {
    clean_all(&store).await
}

#[test]
fn a_clean_that_stands_still_does_not_harm_who_takes_the_job_over() {
    let moments = at_every_moment(|world, moment| async move {
        abandoned(&world, "job").await;
        world.sleep(Duration::from_secs(100)).await;
        let cleaning = Stopping::new(&moment, clean_all_of(world.store_at(&moment)));
        let attaching = async {
            moment.comes_or(&world, Duration::from_secs(3600)).await;
            let driver = driver(&world, world.store(Network::GOOD), "attached", "job");
            let ended = driver.attach().await;
            moment.let_go();
            ended
        };
        let (cleaned, attached) = futures_util::future::join(cleaning, attaching).await;
        // Never having stood still itself, it has either all of the job or is told at once that it is gone.
        assert!(gone(&attached) || matches!(attached, Ok(Ended::Done(_))), "{attached:?}");
        // A clean that was too late has let it be, or has removed it when it had ended.
        assert!(cleaned.kept.iter().all(|kept| matches!(kept.why, Why::Running(_))), "{cleaned:?}");
        nothing_is_left(&world, &"clean stood still").await;
        moment.has_come()
    });
    assert!(moments > 40, "it stood still at {moments} moments only");
}

#[test]
fn who_takes_a_job_over_and_stands_still_meanwhile_does_not_do_harm_to_a_clean() {
    let moments = at_every_moment(|world, moment| async move {
        abandoned(&world, "job").await;
        world.sleep(Duration::from_secs(100)).await;
        let driver = driver(&world, world.store_at(&moment), "attached", "job");
        let attaching = Stopping::new(&moment, driver.attach());
        let cleaning = async {
            moment.comes_or(&world, Duration::from_secs(3600)).await;
            // It counts as dead now.
            world.sleep(Duration::from_secs(100)).await;
            let cleaned = clean_all(&world.store(Network::GOOD)).await;
            let keys = world.keys();
            moment.let_go();
            (cleaned, keys)
        };
        let (attached, (cleaned, keys)) = futures_util::future::join(attaching, cleaning).await;
        assert!(cleaned.kept.is_empty() && keys.is_empty(), "{cleaned:?} {keys:?}");
        // At the last moments it has all it needs; before, it is told.
        assert!(gone(&attached) || matches!(attached, Ok(Ended::Done(_))), "{attached:?}");
        nothing_is_left(&world, &"driver stood still").await;
        moment.has_come()
    });
    assert!(moments > 80, "it stood still at {moments} moments only");
}

#[test]
fn who_begins_a_job_and_stands_still_meanwhile_finds_out_that_it_was_taken_for_dead() {
    let moments = at_every_moment(|world, moment| async move {
        let driver = driver(&world, world.store_at(&moment), "founder", "job");
        let founding = Stopping::new(&moment, driver.found());
        let cleaning = async {
            moment.comes_or(&world, Duration::from_secs(3600)).await;
            world.sleep(Duration::from_secs(100)).await;
            let cleaned = clean_all(&world.store(Network::GOOD)).await;
            moment.let_go();
            cleaned
        };
        let (founded, cleaned) = futures_util::future::join(founding, cleaning).await;
        assert!(cleaned.kept.is_empty(), "{cleaned:?}");
        assert!(gone(&founded) || matches!(founded, Ok(Ended::Done(_))), "{founded:?}");
        nothing_is_left(&world, &"founder stood still").await;
        moment.has_come()
    });
    assert!(moments > 80, "it stood still at {moments} moments only");
}

#[test]
fn a_clean_that_stands_still_does_not_harm_who_begins_a_job_meanwhile() {
    let moments = at_every_moment(|world, moment| async move {
        // Something to do, and a job that is just beginning.
        abandoned(&world, "old").await;
        world.sleep(Duration::from_secs(100)).await;
        let founder = driver(&world, world.store(Network::GOOD), "founder", "new");
        let founding = async {
            world.sleep(world.up_to(Duration::from_millis(300))).await;
            founder.found().await
        };
        let cleaning = Stopping::new(&moment, clean_all_of(world.store_at(&moment)));
        let letting_go = async {
            moment.comes_or(&world, Duration::from_secs(3600)).await;
            world.sleep(world.up_to(Duration::from_secs(200))).await;
            moment.let_go();
        };
        let (ended, _, ()) = futures_util::future::join3(founding, cleaning, letting_go).await;
        // Once it has ended it may go.
        let promised = founder.promised.lock().unwrap().len() as u64;
        assert!(ended.is_ok() && promised == ELEMENTS, "{ended:?} {promised}");
        nothing_is_left(&world, &"clean stood still").await;
        moment.has_come()
    });
    assert!(moments > 40, "it stood still at {moments} moments only");
}

#[test]
fn a_clean_that_stands_still_does_not_harm_a_job_that_has_nothing_to_say() {
    let moments = at_every_moment(|world, moment| async move {
        let mut quiet = driver(&world, world.store(Network::GOOD), "quiet", "job");
        quiet.pause = Duration::from_secs(5000);
        let cleaning = Stopping::new(&moment, clean_all_of(world.store_at(&moment)));
        let cleaning = async {
            world.sleep(world.up_to(Duration::from_secs(3000))).await;
            cleaning.await
        };
        let letting_go = async {
            moment.comes_or(&world, Duration::from_secs(5000)).await;
            world.sleep(Duration::from_secs(100)).await;
            moment.let_go();
        };
        let (ended, cleaned, ()) = futures_util::future::join3(quiet.found(), cleaning, letting_go).await;
        let promised = quiet.promised.lock().unwrap().len() as u64;
        assert!(
            matches!(ended, Ok(Ended::Done(_) | Ended::Removed)) && promised == ELEMENTS,
            "{ended:?} {cleaned:?}"
        );
        moment.has_come()
    });
    assert!(moments > 10, "it stood still at {moments} moments only");
}

#[test]
fn of_two_cleans_one_may_stand_still() {
    let moments = at_every_moment(|world, moment| async move {
        abandoned(&world, "job").await;
        world.sleep(Duration::from_secs(100)).await;
        let first = Stopping::new(&moment, clean_all_of(world.store_at(&moment)));
        let second = async {
            moment.comes_or(&world, Duration::from_secs(3600)).await;
            let cleaned = clean_all(&world.store(Network::GOOD)).await;
            // Whatever the first has done until now, the second has done the rest; only a probe may be too young.
            let left = world.keys();
            assert!(left.iter().all(|key| key.starts_with("jobs/.probe-")), "{cleaned:?} {left:?}");
            moment.let_go();
        };
        let (cleaned, ()) = futures_util::future::join(first, second).await;
        assert!(cleaned.kept.is_empty(), "{cleaned:?}");
        nothing_is_left(&world, &"two cleans").await;
        moment.has_come()
    });
    assert!(moments > 40, "it stood still at {moments} moments only");
}

#[test]
fn a_job_that_runs_is_not_touched() {
    for dates in [true, false] {
        World::run(1, dates, |world| async move {
            let driver = driver(&world, world.store(Network::GOOD), "founder", "job");
            let founding = driver.found();
            let cleaning = async {
                let store = world.store(Network::GOOD);
                let mut kept = 0;
                while world.keys().is_empty() {
                    world.sleep(Duration::from_millis(1)).await;
                }
                while world.keys().iter().any(|key| key.ends_with("beat")) {
                    let all = clean_all(&store).await;
                    kept += all.kept.len();
                    assert!(
                        all.removed.is_empty() || !world.keys().iter().any(|key| key.ends_with("beat")),
                        "{all:?}"
                    );
                }
                kept
            };
            let (ended, kept) = futures_util::future::join(founding, cleaning).await;
            assert!(matches!(ended, Ok(Ended::Done(_) | Ended::Removed)) && kept > 0, "{ended:?} {kept}");
        });
    }
}

/// Jobs that begin, end, die and are taken over, and cleans, all at once. Those who never stand still are never told
/// that their job is gone while they drive it.
fn all_at_once(seed: u64) {
    let dates = !seed.is_multiple_of(4);
    World::run(seed, dates, |world| async move {
        for number in 0..world.draw(|rng| rng.usize(2..7)) {
            let id = format!("job-{}", number % 2);
            let steady = world.draw(fastrand::Rng::bool);
            let network = if steady { Network::GOOD } else { Network::BAD };
            let mut driver = driver(&world, world.store(network), &format!("driver {number}"), &id);
            driver.pause = world.up_to(Duration::from_secs(100));
            let begins = world.up_to(Duration::from_secs(120));
            let life = world.up_to(Duration::from_secs(200));
            let inner = world.clone();
            world.spawner.spawn(driver.name.clone(), async move {
                if number >= 2 {
                    inner.sleep(begins).await;
                }
                let work = async { if number < 2 { driver.found().await } else { driver.attach().await } };
                let frozen = if steady { 0.0 } else { 0.02 };
                let work = Freezing::new(&inner, frozen, Duration::from_secs(200), work);
                match killed_after(&inner, life, work).await {
                    None | Some(Ok(Ended::Done(_))) => {}
                    Some(ended) => {
                        // Who drives a job and never stands still does not lose it before its end, and who begins
                        // one has done so.
                        let driving = driver.driving.load(Ordering::Relaxed);
                        let began = number >= 2 || driver.promised.lock().unwrap().len() as u64 == ELEMENTS;
                        let harmed = steady && (driving || !began);
                        assert!(gone(&ended) && !harmed, "seed {seed}: {} {ended:?}", driver.name);
                    }
                }
            });
        }
        for number in 0..world.draw(|rng| rng.usize(1..4)) {
            let begins = world.up_to(Duration::from_secs(300));
            let life = world.up_to(Duration::from_secs(200));
            let network = if world.draw(fastrand::Rng::bool) { Network::BAD } else { Network::GOOD };
            let inner = world.clone();
            world.spawner.spawn(format!("cleaner {number}"), async move {
                inner.sleep(begins).await;
                let store = inner.store(network);
                let work = async {
                    let owner = owner("cleaner");
                    let listed = list(&store).await;
                    (listed.map(drop), clean(&store, &Selection::All, false, &owner).await)
                };
                let work = Freezing::new(&inner, 0.005, Duration::from_secs(200), work);
                if let Some((listed, cleaned)) = killed_after(&inner, life, work).await {
                    for error in [listed.err(), cleaned.as_ref().err().cloned()].into_iter().flatten() {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "seed {seed}: {error}");
                    }
                }
            });
        }
        world.sleep(Duration::from_secs(2000)).await;
        nothing_is_left(&world, &seed).await;
    });
}

#[test]
fn cleans_and_jobs_at_once() {
    for seed in 0..400 {
        all_at_once(seed);
    }
}

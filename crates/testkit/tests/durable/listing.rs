//! `jobs list` and `show`, and what `clean` selects.

use std::time::Duration;

use rustwren_core::durable::jobs::{JobKind, Selection, State, Why, clean, list, show};
use rustwren_core::durable::{Capsules, Heart, JobId, Store};
use rustwren_core::error::ErrorKind;
use rustwren_core::failure::{FailureKind, TaskError, TaskFailure};

use crate::cleaning::{abandoned, driver};
use crate::world::{Network, World, owner};

const LEASE: Duration = Duration::from_secs(15);

fn id(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

/// A plain connected job that has ended, with one failed element.
async fn connected(world: &World, store: &Store, name: &str) {
    let heart = Heart::start(store, &id(name), owner("client"), LEASE, None).await.unwrap();
    let spec = driver(world, store.clone(), "client", name).manifest().unwrap().spec();
    let failure = TaskFailure::new(FailureKind::Panic, "no");
    let error =
        TaskError { index: 7, job: name.into(), input_bytes: 1, attempts: vec![failure], repro: None };
    assert!(Capsules::new(store, &id(name), "p").keep(&spec, &error, b"i").await.unwrap());
    heart.stop().await.unwrap();
}

async fn states(store: &Store) -> Vec<(String, State)> {
    let mut states: Vec<_> =
        list(store).await.unwrap().into_iter().map(|job| (job.id.to_string(), job.state)).collect();
    states.sort_by(|a, b| a.0.cmp(&b.0));
    states
}

#[test]
fn every_state_is_told() {
    for dates in [true, false] {
        World::run(1, dates, |world| async move {
            let store = world.store(Network::GOOD);
            assert_eq!(list(&store).await.unwrap(), []);
            abandoned(&world, "dead").await;
            world.sleep(LEASE * 10).await;
            driver(&world, store.clone(), "a", "done").found().await.unwrap();
            connected(&world, &store, "failed").await;
            let running = driver(&world, store.clone(), "b", "running");
            world.spawner.spawn("running", async move { drop(running.found().await) });
            let heart = Heart::start(&store, &id("waiting"), owner("c"), LEASE, None).await.unwrap();
            heart.hand_over(LEASE * 20).await.unwrap();
            abandoned(&world, "broken").await;
            world.change("jobs/broken/manifest", |_| "{\"version\": 3}".into());
            world.sleep(Duration::from_secs(2)).await;
            let states = states(&store).await;
            let names: Vec<&str> = states.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["broken", "dead", "done", "failed", "running", "waiting"]);
            assert!(
                matches!(&states[0].1, State::Unreadable(why) if why.contains("version 3")),
                "{states:?}"
            );
            // Without dates a first look cannot tell how old a sign of life is.
            assert_eq!(states[1].1, if dates { State::Abandoned } else { State::Running });
            assert_eq!((&states[2].1, &states[4].1), (&State::Done, &State::Running));
            assert!(matches!(states[3].1, State::Failed(_)) && states[5].1 == State::Starting, "{states:?}");

            let done = show(&store, &id("done")).await.unwrap();
            assert_eq!(
                (done.info.kind, done.info.tally.done, done.info.total),
                (JobKind::Durable, 24, Some(24))
            );
            assert!(done.end.is_some() && done.manifest.is_some() && done.info.label.as_deref() == Some("f"));
            let failed = show(&store, &id("failed")).await.unwrap();
            assert_eq!((failed.info.kind, failed.failed), (JobKind::Connected, vec![7]));
            assert!(show(&store, &id("dead")).await.unwrap().info.tally.done > 0);
            assert_eq!(show(&store, &id("running")).await.unwrap().info.owner.unwrap().program, "b");
            let error = show(&store, &id("nobody")).await.unwrap_err();
            assert!(
                error.kind() == ErrorKind::Config && error.hint().unwrap().contains("jobs list"),
                "{error}"
            );
        });
    }
}

#[test]
fn what_is_selected_goes_and_nothing_else() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let by = owner("cleaner");
        for name in ["old-a", "old-b"] {
            abandoned(&world, name).await;
        }
        connected(&world, &store, "old-c").await;
        world.sleep(Duration::from_secs(7200)).await;
        for name in ["new-a", "new-b"] {
            abandoned(&world, name).await;
        }
        let running = driver(&world, store.clone(), "running", "running");
        world.spawner.spawn("running", async move { drop(running.found().await) });
        world.sleep(Duration::from_secs(1)).await;

        let old = Selection::OlderThan(Duration::from_secs(3600));
        let before = world.keys();
        let cleaned = clean(&store, &old, true, &by).await.unwrap();
        let names: Vec<_> = cleaned.removed.iter().map(|removed| removed.id.as_str()).collect();
        assert_eq!(names, ["old-a", "old-b", "old-c"]);
        assert!(cleaned.removed.iter().all(|removed| removed.objects > 0 && removed.bytes > 0));
        let there = |name: &str| world.keys().iter().any(|key| key.starts_with(&format!("jobs/{name}/")));
        assert!(before.iter().all(|key| world.keys().contains(key)), "a dry run removes nothing");
        assert_eq!(clean(&store, &old, false, &by).await.unwrap(), cleaned);
        assert!(!there("old-a") && !there("old-b") && !there("old-c") && there("new-a"));

        let ids = Selection::Ids(vec![id("new-a"), id("running")]);
        let cleaned = clean(&store, &ids, false, &by).await.unwrap();
        assert_eq!(cleaned.kept.len(), 2, "{cleaned:?}");
        world.sleep(LEASE * 5).await;
        let cleaned = clean(&store, &ids, false, &by).await.unwrap();
        assert_eq!(cleaned.removed.len(), 2, "{cleaned:?}");
        assert!(there("new-b"));
        let error = clean(&store, &ids, false, &by).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("new-a"), "{error}");
    });
}

#[test]
fn a_job_that_cannot_be_read_can_be_removed_and_keeps_no_other_from_it() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let by = owner("cleaner");
        for name in ["a", "b", "c"] {
            abandoned(&world, name).await;
        }
        world.change("jobs/a/manifest", |_| "{\"version\": 3}".into());
        let last = world.keys().into_iter().rfind(|key| key.starts_with("jobs/a/log/")).unwrap();
        world.change(&last, |_| "rubbish".into());
        world.change("jobs/b/beat", |_| "{\"version\": 3}".into());
        world.sleep(Duration::from_secs(600)).await;
        let cleaned = clean(&store, &Selection::All, false, &by).await.unwrap();
        let [kept] = &cleaned.kept[..] else { panic!("{cleaned:?}") };
        assert!(
            kept.id == id("b") && matches!(&kept.why, Why::Failed(why) if why.contains("version 3")),
            "{kept:?}"
        );
        assert_eq!(cleaned.removed.len(), 2);
        // A sign of life that cannot be read is not believed for ever.
        world.sleep(Duration::from_secs(3600)).await;
        clean(&store, &Selection::All, false, &by).await.unwrap();
        assert_eq!(world.keys(), [""; 0]);
    });
}

#[test]
fn what_is_no_jobs_stays() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let keys = ["data/mine", "images/notes.txt", "jobs/Not-A-Job/x", "jobs/README"];
        for key in keys {
            let key = rustwren_core::storage::Key::new(key).unwrap();
            store.storage().put(&key, "mine".into()).await.unwrap();
        }
        abandoned(&world, "job").await;
        world.sleep(LEASE * 10).await;
        clean(&store, &Selection::All, false, &owner("cleaner")).await.unwrap();
        assert_eq!(world.keys(), keys);
        assert_eq!(list(&store).await.unwrap(), []);
    });
}

/// A process that has ended on this machine need not be waited for, and one that is only slow is not taken for dead.
#[test]
fn on_one_machine_processes_are_looked_at() {
    World::run(1, true, |world| async move {
        use rustwren_core::durable::Owner;
        let store = world.store(Network::GOOD);
        let by = owner("cleaner");
        let this = Owner::of_process("here");
        let ended = Owner { started: this.started.map(|started| started + 1), ..this.clone() };
        Heart::start(&store, &id("ended"), ended, LEASE, None).await.unwrap();
        Heart::start(&store, &id("slow"), this.clone(), LEASE, None).await.unwrap();
        let cleaned = clean(&store, &Selection::All, false, &by).await.unwrap();
        assert_eq!(cleaned.removed[0].id, id("ended"));
        world.sleep(LEASE * 100).await;
        let cleaned = clean(&store, &Selection::All, false, &by).await.unwrap();
        assert_eq!(cleaned.kept[0].why, Why::Running(this));
    });
}

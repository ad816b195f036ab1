//! Signs of life, and what those make of them who watch.

use std::time::Duration;

use rustwren_core::durable::{BeatWatch, Heart, JobId, Life, Owner, Sign, request_cancel};
use rustwren_core::error::ErrorKind;

use crate::journal::id;
use crate::world::{Network, World, killed_after, owner};

const LEASE: Duration = Duration::from_secs(15);

#[test]
fn a_driver_is_alive_until_it_has_been_silent_for_its_lease() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let mut watch = BeatWatch::new(&store, &id());
        assert_eq!(watch.look().await.unwrap(), Life::Absent);
        let heart = Heart::start(&store, &id(), owner("a"), LEASE, None).await.unwrap();
        // However old a sign may be that is seen for the first time.
        world.sleep(LEASE * 10).await;
        assert!(matches!(watch.look().await.unwrap(), Life::Alive(beat) if beat.owner.program == "a"));
        world.sleep(LEASE.mul_f64(0.9)).await;
        assert!(matches!(watch.look().await.unwrap(), Life::Alive(_)));
        heart.beat().await.unwrap();
        world.sleep(Duration::from_secs(2)).await;
        assert!(matches!(watch.look().await.unwrap(), Life::Alive(_)));
        world.sleep(LEASE).await;
        assert!(matches!(watch.look().await.unwrap(), Life::Dead(beat) if beat.counter == 2));
        heart.stop().await.unwrap();
        assert_eq!(watch.look().await.unwrap(), Life::Absent);
        assert!(world.keys().is_empty());
    });
}

#[test]
fn a_driver_whose_process_has_ended_is_dead_at_once() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        // This process's number of another time, and one that is nobody's any more.
        let this = Owner::of_process("here");
        let reused = Owner { started: this.started.map(|started| started + 1), ..this.clone() };
        for owner in [Owner { pid, ..this.clone() }, reused] {
            Heart::start(&store, &id(), owner, LEASE, None).await.unwrap();
            assert!(matches!(BeatWatch::new(&store, &id()).look().await.unwrap(), Life::Dead(_)));
        }
        // One that has handed its work over may well have ended.
        let heart = Heart::start(&store, &id(), Owner { pid, ..this.clone() }, LEASE, None).await.unwrap();
        heart.hand_over(LEASE * 4).await.unwrap();
        let mut watch = BeatWatch::new(&store, &id());
        assert!(matches!(watch.look().await.unwrap(), Life::Alive(beat) if beat.handed_over));
        world.sleep(LEASE * 3).await;
        assert!(matches!(watch.look().await.unwrap(), Life::Alive(_)));
        world.sleep(LEASE).await;
        assert!(matches!(watch.look().await.unwrap(), Life::Dead(_)));
        Heart::start(&store, &id(), this, LEASE, None).await.unwrap();
        assert!(matches!(watch.look().await.unwrap(), Life::Alive(_)));
    });
}

#[test]
fn signs_are_given_in_time_and_a_wish_to_cancel_is_told_once() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let error = request_cancel(&store, &id()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let heart = Heart::start(&store, &id(), owner("a"), LEASE, None).await.unwrap();
        let inner = world.clone();
        world.spawner.spawn("heart", async move {
            let alive = killed_after(&inner, LEASE * 8, heart.next_sign()).await;
            assert_eq!(alive, None);
        });
        let mut watch = BeatWatch::new(&store, &id());
        let Life::Alive(before) = watch.look().await.unwrap() else { panic!("it is alive") };
        world.sleep(LEASE * 2).await;
        let Life::Alive(after) = watch.look().await.unwrap() else { panic!("it is alive") };
        assert!(after.counter - before.counter >= 5, "{before:?} {after:?}");

        let other = JobId::new("other").unwrap();
        let heart = Heart::start(&store, &other, owner("b"), LEASE, None).await.unwrap();
        assert_eq!(heart.beat().await.unwrap(), None);
        store.storage().put(&other.cancel_key().unwrap(), "".into()).await.unwrap();
        assert_eq!(heart.next_sign().await, Sign::Cancel);
        assert_eq!(heart.beat().await.unwrap(), None);
        // Whose sign is taken away is told so.
        world.remove("jobs/other/beat");
        assert_eq!(heart.next_sign().await, Sign::Removed);
    });
}

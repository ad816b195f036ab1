//! Drivers that wake up after they were taken for dead, step by step: what they are told is written is there.

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::durable::jobs::{Selection, clean};
use rustwren_core::durable::{
    Commit, DEFAULT_LEASE, Entry, Heart, JobId, Journal, Leadership, Results, Sign, Store, Taken, take_lead,
};
use rustwren_core::error::{ErrorKind, Result};

use crate::cleaning::{abandoned, at_every_moment};
use crate::journal::id;
use crate::moment::{Moment, Stopping};
use crate::world::{Network, World, owner};

/// Long enough for everybody to take a driver for dead.
const SILENCE: Duration = Duration::from_secs(100);

fn entry() -> Entry {
    Entry::Results(Results::default())
}

async fn clean_all(store: &Store) {
    clean(store, &Selection::All, false, &owner("cleaner")).await.unwrap();
}

/// Takes the lead of the abandoned job. Signs of life go through a store of their own.
async fn take(world: &World, store: &Store) -> Result<Taken> {
    let mut journal = Journal::open(store, id());
    journal.entries().await?;
    let signs = world.store(Network::GOOD);
    let heart = Heart::start(&signs, &id(), owner("zombie"), DEFAULT_LEASE, None).await?;
    take_lead(journal, heart, |_| Ok(())).await
}

async fn lead(world: &World, store: &Store) -> Leadership {
    match take(world, store).await.unwrap() {
        Taken::Leading(leadership) => leadership,
        Taken::Other(journal) => panic!("{journal:?}"),
    }
}

/// What was told to be written stands in a journal that belongs to a job; what was not, is not there.
fn check(world: &World, committed: &Result<Commit>, what: &dyn std::fmt::Debug) {
    let keys = world.keys();
    match committed {
        Ok(Commit::Written(seq)) => {
            let key = JobId::log_key(&id(), *seq).unwrap().to_string();
            let there = keys.contains(&key) && keys.contains(&"jobs/job/manifest".to_owned());
            assert!(there, "{what:?}: entry {seq} of {keys:?}");
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {}
        other => panic!("{what:?}: {other:?}"),
    }
}

/// All that a driver does between its silence and its next commit, in all orders with what a clean does.
#[test]
fn an_entry_that_is_told_to_be_written_is_there_whenever_a_clean_came() {
    for steps in 0..8_u32 {
        let (begins_commit, beats, beats_later) = (steps & 1 != 0, steps & 2 != 0, steps & 4 != 0);
        let moments = at_every_moment(|world, moment| async move {
            let what = (steps, moment.clone());
            abandoned(&world, "job").await;
            world.sleep(SILENCE).await;
            // The second entry is written, and its reply comes late: after orders for three entries, two looks for the
            // manifest, and those that `take` reads.
            let reply = if begins_commit { Moment::number(u64::MAX) } else { Moment::never() };
            let store = world.store_at(&reply);
            let mut zombie = lead(&world, &store).await;
            let heart = Arc::clone(zombie.heart());
            world.sleep(SILENCE).await;
            let first = async {
                if begins_commit {
                    reply.after(1);
                    Some(zombie.commit(&entry()).await)
                } else {
                    None
                }
            };
            let cleaning = Stopping::new(&moment, async {
                world.sleep(Duration::from_secs(1)).await;
                clean_all(&world.store_at(&moment)).await;
            });
            let waking = async {
                moment.comes_or(&world, SILENCE).await;
                let sign = if beats { heart.beat().await.unwrap() } else { None };
                reply.let_go();
                sign
            };
            let acting = async {
                let (first, sign) = futures_util::future::join(first, waking).await;
                if let Some(first) = &first {
                    // Removed, or the clean has not come so far.
                    assert!(matches!(first, Ok(Commit::Written(_)) | Err(_)), "{what:?}: {first:?}");
                }
                moment.let_go();
                (first, sign)
            };
            let ((first, sign), ()) = futures_util::future::join(acting, cleaning).await;
            let later = if beats_later { heart.beat().await.unwrap() } else { None };
            let removed =
                [sign, later].contains(&Some(Sign::Removed)) || first.is_some_and(|first| first.is_err());
            if removed {
                assert!(
                    !world.keys().contains(&"jobs/job/manifest".to_owned()),
                    "{what:?}: {:?}",
                    world.keys()
                );
            } else {
                let committed = zombie.commit(&entry()).await;
                check(&world, &committed, &what);
                if committed.is_err() {
                    assert!(
                        !world.keys().iter().any(|key| key.contains("/log/")),
                        "{what:?}: {:?}",
                        world.keys()
                    );
                }
            }
            moment.has_come()
        });
        assert!(moments > 30, "{steps}: the clean stood still at {moments} moments only");
    }
}

#[test]
fn who_takes_the_lead_of_a_job_that_is_gone_is_told_and_leaves_nothing() {
    let moments = at_every_moment(|world, moment| async move {
        abandoned(&world, "job").await;
        world.sleep(SILENCE).await;
        let store = world.store(Network::GOOD);
        let mut journal = Journal::open(&store, id());
        journal.entries().await.unwrap();
        let cleaning = Stopping::new(&moment, async { clean_all(&world.store_at(&moment)).await });
        let taking = async {
            moment.comes_or(&world, SILENCE).await;
            let heart = Heart::start(&store, &id(), owner("late"), DEFAULT_LEASE, None).await.unwrap();
            let taken = take_lead(journal, heart, |_| Ok(())).await;
            if taken.is_err() {
                assert!(
                    !world.keys().contains(&"jobs/job/beat".to_owned()),
                    "{moment:?}: {:?}",
                    world.keys()
                );
            }
            moment.let_go();
            taken
        };
        let (taken, ()) = futures_util::future::join(taking, cleaning).await;
        match taken {
            Ok(Taken::Leading(mut leadership)) => {
                // It may have been silent for too long while it was watched.
                check(&world, &leadership.commit(&entry()).await, &moment);
            }
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                assert!(
                    world.keys().iter().all(|key| key.contains("probe")),
                    "{moment:?}: {:?}",
                    world.keys()
                );
            }
            other => panic!("{moment:?}: {other:?}"),
        }
        moment.has_come()
    });
    assert!(moments > 30, "the clean stood still at {moments} moments only");
}

#[test]
fn of_two_who_take_the_lead_at_once_one_drives() {
    World::run(1, true, |world| async move {
        abandoned(&world, "job").await;
        let store = world.store(Network::GOOD);
        let (a, b) = futures_util::future::join(take(&world, &store), take(&world, &store)).await;
        match (a.unwrap(), b.unwrap()) {
            (Taken::Leading(leadership), Taken::Other(journal))
            | (Taken::Other(journal), Taken::Leading(leadership)) => {
                assert_eq!(journal.view().lead.as_ref(), Some(leadership.lead()));
            }
            both => panic!("{both:?}"),
        }
    });
}

//! Programs that are run again, and find what they have committed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustwren_core::durable::jobs::{Selection, clean};
use rustwren_core::durable::{
    Commit, DEFAULT_LEASE, Elements, End, Entry, Group, How, Identities, JobId, Kind, Manifest, Results,
    ResumeFamily, Resumed, Tally, resume,
};
use rustwren_core::entry::{Call, Entry as Function, Target};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::JobSpec;
use rustwren_core::scheduler::JobOptions;
use rustwren_core::scheduler::stats::JobStats;

use crate::journal::record;
use crate::world::{Freezing, Network, World, killed_after, owner};

const INPUTS: u8 = 20;

fn family() -> ResumeFamily {
    let target = Target::Named { name: "f".into(), call: Call::Map };
    ResumeFamily::new(ImageId([1; 32]), &target, None).unwrap()
}

fn manifest(id: &JobId) -> Result<Manifest> {
    let target = Target::Named { name: "f".into(), call: Call::Map };
    let spec = JobSpec {
        id: id.to_string(),
        label: "f".into(),
        entry: Function { image: ImageId([1; 32]), target },
        shared: None,
        task_timeout: None,
        concurrency: 1,
    };
    Manifest::new(&spec, Kind::Resume, &JobOptions::default(), "u8", "p")
}

/// One run of the program. Adds the inputs that it ran to `ran` once they are committed.
async fn program(world: &World, network: Network, ran: &Mutex<Vec<u8>>) -> Result<Vec<Bytes>> {
    let store = world.store(network);
    let Resumed { mut leadership, committed, .. } =
        resume(&store, &family(), &owner("program"), DEFAULT_LEASE, manifest).await?;
    let heart = Arc::clone(leadership.heart());
    let work = async {
        let mut naming = Identities::default();
        let identities: Vec<_> = (0..INPUTS).map(|input| naming.next(&[input / 2])).collect();
        let mut results = committed.read(&store, &identities).await?;
        for (input, identity) in (0..).zip(&identities) {
            let result = &mut results[usize::from(input)];
            if result.is_some() {
                continue;
            }
            world.sleep(world.up_to(Duration::from_secs(3))).await;
            let elements = Elements::Identities(vec![*identity]);
            let group = Group { elements, records: record(&[input / 2, input]) };
            *result = Some(group.records.clone());
            let entry = Entry::Results(Results { groups: vec![group], ..Results::default() });
            match leadership.commit(&entry).await? {
                Commit::Written(_) => ran.lock().unwrap().push(input),
                other => return Err(Error::new(ErrorKind::Cancelled, format!("{other:?}"))),
            }
        }
        let end = End { how: How::Done, stats: JobStats::default(), tally: Tally::default() };
        leadership.end(end).await?;
        Ok(results.into_iter().map(Option::unwrap).collect())
    };
    let signs = std::pin::pin!(heart.next_sign());
    match futures_util::future::select(std::pin::pin!(work), signs).await {
        futures_util::future::Either::Left((done, _)) => done,
        futures_util::future::Either::Right((sign, _)) => {
            Err(Error::new(ErrorKind::Cancelled, format!("{sign:?}")))
        }
    }
}

#[test]
fn a_program_killed_at_any_time_and_run_again_does_not_do_again_what_is_committed() {
    for seed in 0..60 {
        World::run(seed, true, |world| async move {
            let ran = Mutex::new(Vec::new());
            for _ in 0..world.draw(|rng| rng.u32(1..5)) {
                let life = world.up_to(Duration::from_secs(25));
                drop(killed_after(&world, life, program(&world, Network::GOOD, &ran)).await);
                world.sleep(world.up_to(Duration::from_secs(40))).await;
            }
            let done = program(&world, Network::GOOD, &ran).await.unwrap();
            assert_eq!(done.len(), usize::from(INPUTS));
            for (input, found) in (0..).zip(done) {
                assert_eq!(found, record(&[input / 2, input]), "seed {seed}");
            }
            let mut all = ran.lock().unwrap().clone();
            all.sort_unstable();
            assert_eq!(all, (0..INPUTS).collect::<Vec<_>>(), "seed {seed}: each once");
            // And once more, when there is nothing left to do.
            assert!(program(&world, Network::GOOD, &ran).await.is_ok());
            assert_eq!(ran.lock().unwrap().len(), usize::from(INPUTS));
            let store = world.store(Network::GOOD);
            world.sleep(Duration::from_secs(100)).await;
            clean(&store, &Selection::All, false, &owner("cleaner")).await.unwrap();
            assert!(world.keys().is_empty(), "seed {seed}: {:?}", world.keys());
        });
    }
}

#[test]
fn runs_at_once_do_not_meet_and_one_that_is_cleaned_begins_anew() {
    for seed in 0..100 {
        World::run(seed, seed % 3 != 0, |world| async move {
            for number in 0..3 {
                let begins = world.up_to(Duration::from_secs(60));
                let life = world.up_to(Duration::from_secs(150));
                let steady = number > 0;
                let inner = world.clone();
                world.spawner.spawn(format!("program {number}"), async move {
                    inner.sleep(begins).await;
                    let ran = Mutex::new(Vec::new());
                    let network = if steady { Network::GOOD } else { Network::BAD };
                    let run = program(&inner, network, &ran);
                    let frozen = if steady { 0.0 } else { 0.02 };
                    let run = Freezing::new(&inner, frozen, Duration::from_secs(100), run);
                    match killed_after(&inner, life, run).await {
                        None | Some(Ok(_)) => {}
                        Some(Err(error)) => assert!(!steady, "seed {seed}: program {number}: {error}"),
                    }
                });
            }
            let (store, by) = (world.store(Network::GOOD), owner("cleaner"));
            for _ in 0..3 {
                world.sleep(world.up_to(Duration::from_secs(90))).await;
                clean(&store, &Selection::All, false, &by).await.unwrap();
            }
            world.sleep(Duration::from_secs(1000)).await;
            clean(&store, &Selection::All, false, &by).await.unwrap();
            assert!(world.keys().is_empty(), "seed {seed}: {:?}", world.keys());
        });
    }
}

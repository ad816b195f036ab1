//! What is committed, by place and by content, against plain models.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use rustwren_core::durable::{
    Appended, CommittedByIdentity, CommittedByIndex, Elements, Entry, Group, Identities, Identity, JobId,
    Journal, Outcome, Results,
};
use rustwren_core::failure::{FailureKind, TaskError, TaskFailure};

use crate::driver::split;
use crate::journal::{id, record};
use crate::world::{Network, World};

fn run(first: u64, count: u32, tag: u64) -> (u64, u32, Bytes) {
    let records =
        (first..first + u64::from(count)).map(|index| record(&body(index, tag))).collect::<Vec<_>>();
    (first, count, records.concat().into())
}

fn body(index: u64, tag: u64) -> Vec<u8> {
    format!("{index} {tag} {}", "x".repeat((index * 7 % 50) as usize)).into_bytes()
}

fn failed(index: u64, tag: u64) -> TaskError {
    let failure = TaskFailure::new(FailureKind::Panic, tag.to_string());
    TaskError { index, job: "j".into(), input_bytes: 1, attempts: vec![failure], repro: None }
}

/// Entries: their runs (first, count) and failed elements.
type Plan = Vec<(Vec<(u64, u32)>, Vec<u64>)>;

fn plan() -> impl Strategy<Value = Plan> {
    let runs = prop::collection::vec((0_u64..60, 1_u32..12), 0..4);
    prop::collection::vec((runs, prop::collection::vec(0_u64..70, 0..3)), 0..12)
}

fn entry(plan: &(Vec<(u64, u32)>, Vec<u64>), tag: u64) -> Entry {
    let mut results = Results::default();
    for &(first, count) in &plan.0 {
        let (first, count, records) = run(first, count, tag);
        results.push_run(first, count, records);
    }
    results.failed = plan.1.iter().map(|&index| failed(index, tag)).collect();
    Entry::Results(results)
}

/// Whether an element has failed, and the entry that says its outcome.
type Model = BTreeMap<u64, (bool, u64)>;

fn flat(outcomes: &[Outcome]) -> Model {
    let mut model = Model::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Failed(error) => {
                let tag = error.attempts[0].message.parse().unwrap();
                assert!(model.insert(error.index, (true, tag)).is_none());
            }
            results @ Outcome::Results { .. } => {
                for (index, found) in split(results) {
                    let tag = (0..20).find(|&tag| record(&body(index, tag)) == found);
                    assert!(model.insert(index, (false, tag.expect("a record of this element"))).is_none());
                }
            }
        }
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_first_outcome_of_an_element_counts_and_can_be_read_again(
        plan in plan(), ranges in prop::collection::vec((0_u64..80, 0_u64..80), 1..4), seed: u64,
    ) {
        World::run(seed, true, |world| async move {
            let store = world.store(Network::GOOD);
            let mut writer = Journal::open(&store, id());
            let mut model = Model::new();
            for (tag, entries) in (0..).zip(&plan) {
                for &(first, count) in &entries.0 {
                    for index in first..first + u64::from(count) {
                        model.entry(index).or_insert((false, tag));
                    }
                }
                for &index in &entries.1 {
                    model.entry(index).or_insert((true, tag));
                }
                assert!(matches!(writer.append(&entry(entries, tag)).await.unwrap(), Appended::Written(_)));
            }
            let (mut with, mut without) = (CommittedByIndex::new(&id()), CommittedByIndex::without_places(&id()));
            let (mut new, mut same) = (Vec::new(), Vec::new());
            let mut journal = Journal::open(&store, id());
            journal
                .read_all(|logged| {
                    new.extend(with.add(logged)?);
                    same.extend(without.add(logged)?);
                    Ok(())
                })
                .await
                .unwrap();
            assert_eq!(flat(&new), model);
            assert_eq!(new, same);
            for committed in [&with, &without] {
                let failed = model.values().filter(|(failed, _)| *failed).count() as u64;
                assert_eq!((committed.done(), committed.failed()), (model.len() as u64 - failed, failed));
                for index in 0..80 {
                    assert_eq!(committed.contains(index), model.contains_key(&index));
                }
            }
            for (a, b) in ranges {
                let range = a.min(b)..a.max(b);
                let gaps: Vec<u64> = with.gaps(range.clone()).flatten().collect();
                assert_eq!(gaps, without.gaps(range.clone()).flatten().collect::<Vec<_>>());
                assert_eq!(gaps, range.clone().filter(|index| !model.contains_key(index)).collect::<Vec<_>>());
                let read = with.read(&store, range.clone()).await.unwrap();
                assert!(read.is_sorted_by_key(|outcome| outcome.elements().start));
                let expected: Model = model.range(range).map(|(&index, &outcome)| (index, outcome)).collect();
                assert_eq!(flat(&read), expected);
            }
        });
    }

    #[test]
    fn results_are_found_by_content(
        inputs in prop::collection::vec(0_u8..6, 0..40), cuts in prop::collection::vec(1_usize..6, 1..9), seed: u64,
    ) {
        World::run(seed, true, |world| async move {
            let store = world.store(Network::GOOD);
            let mut naming = Identities::default();
            let identities: Vec<Identity> = inputs.iter().map(|input| naming.next(&[*input])).collect();
            let result = |i: usize| record(format!("{} {i}", inputs[i]).as_bytes());
            // Two jobs of one family hold every other group of the first two thirds.
            let jobs = [id(), JobId::new("other").unwrap()];
            let mut journals: Vec<Journal> = jobs.iter().map(|id| Journal::open(&store, id.clone())).collect();
            let known = inputs.len() * 2 / 3;
            let (mut at, mut sizes) = (0, cuts.iter().cycle());
            for turn in 0.. {
                let end = (at + sizes.next().unwrap()).min(known);
                let mut results = Results::default();
                let records: Vec<Bytes> = (at..end).map(result).collect();
                let elements = Elements::Identities(identities[at..end].to_vec());
                results.groups.push(Group { elements, records: records.concat().into() });
                journals[turn % 2].append(&Entry::Results(results)).await.unwrap();
                at = end;
                if at == known {
                    break;
                }
            }
            let mut committed = CommittedByIdentity::new();
            for id in &jobs {
                let mut journal = Journal::open(&store, id.clone());
                journal.read_all(|logged| committed.add(id, logged)).await.unwrap();
            }
            assert_eq!(committed.len(), known);
            // Another run, whose inputs come in another order: equal ones are told apart by how many came before.
            let mut order: Vec<usize> = (0..inputs.len()).collect();
            world.draw(|rng| rng.shuffle(&mut order));
            let mut naming = Identities::default();
            let asked: Vec<Identity> = order.iter().map(|&i| naming.next(&[inputs[i]])).collect();
            let found = committed.read(&store, &asked).await.unwrap();
            for ((identity, found), &i) in asked.iter().zip(found).zip(&order) {
                let first = identities.iter().position(|other| other == identity).unwrap();
                assert_eq!(inputs[first], inputs[i]);
                assert_eq!(found, (first < known).then(|| result(first)));
                assert_eq!(committed.contains(identity), first < known);
            }
        });
    }
}

#[test]
fn a_group_with_fewer_records_than_it_says_is_an_error_with_its_place() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let mut results = Results::default();
        results.push_run(0, 3, record(b"one"));
        let mut journal = Journal::open(&store, id());
        journal.append(&Entry::Results(results)).await.unwrap();
        let mut committed = CommittedByIndex::new(&id());
        let error =
            Journal::open(&store, id()).read_all(|logged| committed.add(logged).map(drop)).await.unwrap_err();
        assert!(
            error.to_string().contains("entry 0") && error.hint().unwrap().contains("jobs clean job"),
            "{error}"
        );
    });
}

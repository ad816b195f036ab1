//! Random operations against a map that does the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{PutOutcome, Storage, StorageExt, StorageResult};

use super::Scratch;

/// Sequences that are tried; each starts from an empty prefix.
const CASES: usize = 48;
const LONGEST: usize = 40;

#[derive(Debug, Clone)]
enum Operation {
    Put(String, Bytes),
    PutIfAbsent(String, Bytes),
    Get(String),
    GetRange(String, u64, u64),
    Head(String),
    List(String),
    Delete(String),
}

/// Few short names, so that operations meet: parents and children, odd characters.
fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "a%", ".a", "a-", "\u{e9}"]), 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn data() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => (name(), data()).prop_map(|(name, data)| Operation::Put(name, data)),
        2 => (name(), data()).prop_map(|(name, data)| Operation::PutIfAbsent(name, data)),
        2 => name().prop_map(Operation::Get),
        2 => (name(), 0..50_u64, 0..50_u64).prop_map(|(name, start, end)| Operation::GetRange(name, start, end)),
        1 => name().prop_map(Operation::Head),
        2 => prop_oneof![name(), name().prop_map(|name| name + "/"), Just(String::new())].prop_map(Operation::List),
        3 => name().prop_map(Operation::Delete),
    ]
}

/// Whatever sequence of operations runs, each answers as a map of names to contents would. The sequences are
/// the same in every run; a failing one is made as short as it can be.
pub async fn agrees_with_a_map(storage: &dyn Storage) {
    let mut runner = TestRunner::deterministic();
    let sequences = prop::collection::vec(operation(), 1..LONGEST);
    for _ in 0..CASES {
        let mut tree = sequences.new_tree(&mut runner).expect("nothing is rejected");
        let Err(mut difference) = run(storage, &tree.current()).await else {
            continue;
        };
        let mut shortest = tree.current();
        let mut more = tree.simplify();
        while more {
            let operations = tree.current();
            if let Err(found) = run(storage, &operations).await {
                (difference, shortest) = (found, operations);
                more = tree.simplify();
            } else {
                more = tree.complicate();
            }
        }
        panic!("{difference}\nafter {shortest:#?}");
    }
}

async fn run(storage: &dyn Storage, operations: &[Operation]) -> Result<(), String> {
    let scratch = Scratch::new(storage);
    let mut model: BTreeMap<&str, Bytes> = BTreeMap::new();
    for operation in operations {
        let got = answer(perform(&scratch, operation).await);
        let expected = answer(expect(&mut model, operation));
        if got != expected {
            return Err(format!("{operation:?} gave {got} and should have given {expected}"));
        }
    }
    scratch.clean().await;
    Ok(())
}

/// An answer in a form that can be compared and read.
fn answer(result: Result<String, ErrorClass>) -> String {
    result.unwrap_or_else(|class| format!("{class:?}"))
}

async fn perform(scratch: &Scratch<'_>, operation: &Operation) -> Result<String, ErrorClass> {
    let storage = scratch.storage;
    match operation {
        Operation::Put(name, data) => shown(storage.put(&scratch.key(name), data.clone()).await),
        Operation::PutIfAbsent(name, data) => {
            shown(storage.put_if_absent(&scratch.key(name), data.clone()).await)
        }
        Operation::Get(name) => shown(storage.get(&scratch.key(name)).await),
        Operation::GetRange(name, start, end) => {
            shown(storage.get_range(&scratch.key(name), *start..*end).await)
        }
        Operation::Head(name) => shown(storage.head(&scratch.key(name)).await.map(|meta| meta.size)),
        Operation::List(prefix) => {
            let listed = storage.list_all(&scratch.name(prefix)).await;
            shown(listed.map(|objects| {
                let short = |name: &str| name.strip_prefix(&scratch.prefix).map(str::to_owned);
                objects.iter().map(|object| (short(object.key.as_str()), object.size)).collect::<Vec<_>>()
            }))
        }
        Operation::Delete(name) => shown(storage.delete(&scratch.key(name)).await),
    }
}

fn shown<T: std::fmt::Debug>(result: StorageResult<T>) -> Result<String, ErrorClass> {
    result.map(|value| format!("{value:?}")).map_err(|error| error.class())
}

fn expect<'a>(model: &mut BTreeMap<&'a str, Bytes>, operation: &'a Operation) -> Result<String, ErrorClass> {
    Ok(match operation {
        Operation::Put(name, data) => {
            model.insert(name, data.clone());
            format!("{:?}", ())
        }
        Operation::PutIfAbsent(name, data) => {
            let outcome = if model.contains_key(name.as_str()) {
                PutOutcome::Exists
            } else {
                model.insert(name, data.clone());
                PutOutcome::Created
            };
            format!("{outcome:?}")
        }
        Operation::Get(name) => format!("{:?}", model.get(name.as_str()).ok_or(ErrorClass::NotFound)?),
        Operation::GetRange(name, start, end) => {
            let data = model.get(name.as_str()).ok_or(ErrorClass::NotFound)?;
            // The contract once more, in other words than `cut_range`.
            let part: Vec<u8> = (*start..*end).map_while(|i| data.get(i as usize).copied()).collect();
            if start < end && *start > data.len() as u64 {
                return Err(ErrorClass::Invalid);
            }
            format!("{:?}", Bytes::from(part))
        }
        Operation::Head(name) => format!("{:?}", model.get(name.as_str()).ok_or(ErrorClass::NotFound)?.len()),
        Operation::List(prefix) => {
            let listed = model.iter().filter(|(name, _)| name.starts_with(prefix.as_str()));
            format!(
                "{:?}",
                listed.map(|(name, data)| (Some((*name).to_owned()), data.len())).collect::<Vec<_>>()
            )
        }
        Operation::Delete(name) => {
            model.remove(name.as_str());
            format!("{:?}", ())
        }
    })
}

//! Entries come back as they were written, and nothing else is taken for one.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::entry::{Clean, Elements, End, Entry, Failure, Group, How, Identity, Lead, Results, Spent, Tally};
use super::id::JobId;
use super::owner::Owner;
use crate::error::{Error, ErrorKind};
use crate::failure::{FailureKind, TaskError, TaskFailure};
use crate::protocol::records::{ResultTag, append_result};
use crate::scheduler::stats::JobStats;

fn owner() -> impl Strategy<Value = Owner> {
    let text = proptest::option::of(".{0,6}");
    (".{0,6}", any::<u32>(), any::<Option<u64>>(), text.clone(), text, ".{0,9}", any::<u64>()).prop_map(
        |(host, pid, started, boot, pid_namespace, program, token)| Owner {
            host,
            pid,
            started,
            boot,
            pid_namespace,
            program,
            token,
        },
    )
}

fn tally() -> impl Strategy<Value = Tally> {
    any::<(u64, u64)>().prop_map(|(done, failed)| Tally { done, failed })
}

fn kind() -> impl Strategy<Value = FailureKind> {
    prop_oneof![
        Just(FailureKind::Panic),
        any::<i32>().prop_map(FailureKind::Signal),
        any::<Duration>().prop_map(FailureKind::TimedOut),
        Just(FailureKind::Lost),
    ]
}

fn task_error() -> impl Strategy<Value = TaskError> {
    let failure = (kind(), ".{0,9}", proptest::option::of(".{0,5}"), ".{0,9}")
        .prop_map(|(kind, message, location, log_tail)| TaskFailure { kind, message, location, log_tail });
    let attempts = proptest::collection::vec(failure, 0..3);
    (any::<u64>(), ".{0,5}", any::<u64>(), attempts).prop_map(|(index, job, input_bytes, attempts)| {
        TaskError { index, job, input_bytes, attempts, repro: None }
    })
}

fn records(count: usize) -> Bytes {
    let mut out = Vec::new();
    for i in 0..count {
        append_result(&mut out, ResultTag::Output, |out| {
            out.extend(std::iter::repeat_n(7, i % 40));
            Ok::<_, ()>(())
        })
        .unwrap();
    }
    out.into()
}

fn group() -> impl Strategy<Value = Group> {
    let run = (0..u64::MAX / 2, 0_u32..50).prop_map(|(first, count)| Elements::Run { first, count });
    let identity = any::<([u8; 16], u32)>().prop_map(|(hash, occurrence)| Identity { hash, occurrence });
    let identities = proptest::collection::vec(identity, 0..20).prop_map(Elements::Identities);
    prop_oneof![run, identities].prop_map(|elements| {
        let records = records(elements.count() as usize);
        Group { elements, records }
    })
}

fn results() -> impl Strategy<Value = Results> {
    let spent = any::<(u64, Duration, u64)>().prop_map(|(invocations, worker_time, micro_usd)| Spent {
        invocations,
        worker_time,
        micro_usd,
        held_time: worker_time / 2,
        held_micro_usd: micro_usd / 2,
    });
    let groups = proptest::collection::vec(group(), 0..6);
    (groups, proptest::collection::vec(task_error(), 0..3), spent, tally())
        .prop_map(|(groups, failed, spent, tally)| Results { groups, failed, spent, tally })
}

fn how() -> impl Strategy<Value = How> {
    let tasks = proptest::collection::vec(task_error(), 0..3);
    let failed = (".{0,9}", proptest::option::of(".{0,9}"), tasks).prop_map(|(message, hint, tasks)| {
        How::Failed(Failure { kind: ErrorKind::Task, message, hint, tasks })
    });
    prop_oneof![Just(How::Done), Just(How::Cancelled), failed]
}

fn entry() -> impl Strategy<Value = Entry> {
    let stats = any::<u64>().prop_map(|invocations| JobStats { invocations, ..JobStats::default() });
    prop_oneof![
        (owner(), any::<u64>(), tally()).prop_map(|(owner, epoch, tally)| Entry::Lead(Lead {
            owner,
            epoch,
            tally
        })),
        results().prop_map(Entry::Results),
        (how(), stats, tally()).prop_map(|(how, stats, tally)| Entry::End(End { how, stats, tally })),
        owner().prop_map(|by| Entry::Clean(Clean { by })),
    ]
}

fn decode(bytes: &Bytes) -> Result<Entry, Error> {
    let id = JobId::new("j").unwrap();
    Entry::decode(bytes, &id, &id.log_key(3).unwrap())
}

proptest! {
    #[test]
    fn entries_come_back(entry in entry(), nonce: u128) {
        let bytes = entry.encode(nonce).unwrap();
        prop_assert_eq!(&decode(&bytes).unwrap(), &entry);
        if nonce != 0 {
            prop_assert_ne!(entry.encode(0).unwrap(), bytes);
        }
    }

    #[test]
    fn the_ranges_of_groups_are_where_their_records_are(results in results()) {
        let bytes = Entry::Results(results.clone()).encode(1).unwrap();
        for (group, range) in results.ranges(bytes.len() as u64) {
            prop_assert_eq!(&bytes[range.start as usize..range.end as usize], &group.records[..]);
        }
    }

    #[test]
    fn what_is_read_first_is_what_it_says(entry in entry()) {
        let bytes = entry.encode(1).unwrap();
        let peeked = Entry::peek(&bytes).unwrap();
        match (peeked, entry) {
            (Entry::Results(peeked), Entry::Results(entry)) => {
                prop_assert_eq!((peeked.failed, peeked.tally), (entry.failed, entry.tally));
            }
            (peeked, entry) => prop_assert_eq!(peeked, entry),
        }
    }

    #[test]
    fn a_changed_or_cut_entry_is_refused_by_name(
        entry in entry(), at: proptest::sample::Index, bit in 0_u8..8, cut: proptest::sample::Index,
    ) {
        let whole = entry.encode(1).unwrap();
        let mut changed = whole.to_vec();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        for bad in [Bytes::from(changed), whole.slice(..cut.index(whole.len()))] {
            let error = decode(&bad).unwrap_err();
            prop_assert!(error.to_string().contains("jobs/j/log/0000000003"), "{}", error);
            prop_assert!(error.hint().is_some());
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, version in 1_u8..3) {
        let mut sealed = b"RWJ".to_vec();
        sealed.push(version);
        sealed.extend(&bytes);
        prop_assert!(decode(&bytes.into()).is_err());
        prop_assert!(decode(&sealed.clone().into()).is_err());
        let _ = Entry::peek(&sealed);
    }
}

#[test]
fn an_entry_of_a_later_version_says_what_to_use() {
    let mut bytes = Entry::Results(Results::default()).encode(1).unwrap().to_vec();
    bytes[3] = 9;
    let error = decode(&bytes.into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let text = error.to_string();
    assert!(text.contains("version 9") && text.contains("up to 1") && text.contains("a later one"), "{text}");
}

#[test]
fn runs_that_follow_each_other_are_one_group() {
    let mut results = Results::default();
    results.push_run(5, 2, records(2));
    results.push_run(7, 1, records(1));
    results.push_run(9, 1, records(1));
    let firsts: Vec<_> =
        results.groups.iter().map(|group| (group.elements.clone(), group.records.len())).collect();
    let run = |first, count| Elements::Run { first, count };
    assert_eq!(firsts, [(run(5, 3), records(2).len() + records(1).len()), (run(9, 1), records(1).len())]);
}

#[test]
fn errors_are_kept_whole() {
    let task = TaskError {
        index: 4,
        job: "j".into(),
        input_bytes: 1,
        attempts: vec![TaskFailure::new(FailureKind::Panic, "no")],
        repro: Some("rustwren repro j 4".into()),
    };
    let error = Error::from_tasks("task 4 failed", vec![task.clone()]).with_hint("look");
    let kept = Error::from(Failure::from(&error));
    assert_eq!((kept.kind(), kept.to_string()), (ErrorKind::Task, error.to_string()));
    assert_eq!(kept.tasks(), [task]);
    let source = std::io::Error::other("disk full");
    let error = Error::new(ErrorKind::Unavailable, "cannot write").with_source(source);
    assert_eq!(Error::from(Failure::from(&error)).to_string(), "cannot write: disk full");
}

#[test]
fn a_kind_of_error_that_is_not_known_yet_is_an_internal_one() {
    let failure: Failure = toml::from_str("kind = 'OutOfCheese'\nmessage = 'm'").unwrap();
    assert_eq!(failure.kind, ErrorKind::Internal);
    let stats: JobStats = toml::from_str("invocations = 3\ncheese = 1").unwrap();
    assert_eq!(stats.invocations, 3);
}

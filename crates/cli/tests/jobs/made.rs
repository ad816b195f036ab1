//! Jobs as they lie in storage, made without running anything.

use std::path::Path;
use std::time::Duration;

use rustwren::__cli::durable::{
    Capsules, Commit, DEFAULT_LEASE, End, Entry, Heart, How, Inputs, JobId, Kind, Leadership, Manifest,
    Owner, Results, Spent, Taken, Tally, found,
};
use rustwren::__cli::entry::{self, Target};
use rustwren::__cli::image::{ImageId, ProgramImage};
use rustwren::__cli::invoker::JobSpec;
use rustwren::__cli::scheduler::JobOptions;
use rustwren::{TaskError, TaskFailure};

use crate::harness::Place;

/// This program's image.
pub(crate) fn own_image() -> ImageId {
    ProgramImage::of_this_program(None).unwrap().id()
}

/// A `#[remote]` function of [`crate::tasks`].
pub(crate) fn remote(name: &str, call: entry::Call) -> Target {
    Target::Named { name: format!("jobs::tasks::{name}"), call }
}

pub(crate) fn spec(id: &str, label: &str, image: ImageId, target: Target) -> JobSpec {
    JobSpec {
        id: id.to_owned(),
        label: label.to_owned(),
        entry: entry::Entry { image, target },
        shared: None,
        task_timeout: None,
        concurrency: 1,
    }
}

fn any_spec(id: &str, label: &str) -> JobSpec {
    spec(id, label, ImageId([7; 32]), remote("ends", entry::Call::Map))
}

/// An owner whose process has ended.
pub(crate) fn dead_owner() -> Owner {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    Owner { pid, started: Some(1), ..Owner::of_process("render") }
}

/// A job of 10 elements whose driver has just begun. Its signs of life last as long as the driver's process.
pub(crate) async fn begun(place: &Place, id: &str, label: &str, kind: Kind, owner: Owner) -> Leadership {
    let id = JobId::new(id).unwrap();
    let heart = Heart::start(&place.store, &id, owner, DEFAULT_LEASE, None).await.unwrap();
    let spec = any_spec(id.as_str(), label);
    let mut manifest =
        Manifest::new(&spec, kind, &JobOptions::default(), "alloc::string::String", "/there/render").unwrap();
    manifest.inputs = Some(Inputs { elements: 10, bytes: 10, blocks: Vec::new() });
    match found(&place.store, &manifest, heart).await.unwrap() {
        Taken::Leading(leadership) => leadership,
        Taken::Other(_) => panic!("nobody else knows of the job"),
    }
}

/// Commits that so many elements are done and failed.
pub(crate) async fn progress(leadership: &mut Leadership, done: u64, failed: u64) {
    let spent = Spent {
        invocations: 3,
        worker_time: Duration::from_millis(1_500),
        micro_usd: 420,
        ..Spent::default()
    };
    let results = Results { spent, tally: Tally { done, failed }, ..Results::default() };
    let commit = leadership.commit(&Entry::Results(results)).await.unwrap();
    assert!(matches!(commit, Commit::Written(_)), "{commit:?}");
}

/// Ends it.
pub(crate) async fn ended(mut leadership: Leadership, how: How) {
    let tally = leadership.journal().view().tally;
    let commit = leadership.end(End { how, stats: <_>::default(), tally }).await.unwrap();
    assert!(matches!(commit, Commit::Written(_)), "{commit:?}");
}

/// Keeps a failed element, as a job of `program` would.
pub(crate) async fn failed(
    place: &Place,
    spec: &JobSpec,
    program: &Path,
    index: u64,
    failure: TaskFailure,
    input: &[u8],
) {
    let id = JobId::new(spec.id.as_str()).unwrap();
    let mut capsules = Capsules::new(&place.store, &id, program.to_str().unwrap());
    let attempts = vec![failure];
    let error =
        TaskError { index, job: spec.label.clone(), input_bytes: input.len() as u64, attempts, repro: None };
    assert!(capsules.keep(spec, &error, input).await.unwrap(), "there is room");
}

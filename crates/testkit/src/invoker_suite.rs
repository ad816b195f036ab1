//! The conformance suite of [`Invoker`]: every promise of its contract as a function that panics when an
//! implementation breaks it.
//!
//! A backend calls [`run_all`] from a test, with the functions that its workers can run. Nothing here waits for time
//! to pass but for what a time-out takes: what does not come lets the test hang, for its runner to end. The invoker
//! must take 200 kB of inline input.

#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "checks panic when they fail, as the first paragraph says"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustwren_core::codec;
use rustwren_core::entry::Call;
use rustwren_core::failure::TaskFailure;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Invocation, Invoker, JobSpec, Payload, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, append_input, split_result};
use rustwren_core::storage::{Key, Storage};

pub use crate::checks::Gap;
use crate::checks::{Check, checks, failing};

mod failures;
pub mod program;
mod recorder;
mod results;
mod running;

pub use failures::{deaths_are_blamed, failures_are_results, time_outs_are_blamed};
use recorder::Recorder;
pub use results::{empty_elements, large_payloads, results_come_back, stored_inputs};
pub use running::{
    all_that_may_wait_is_taken, detached_works_or_is_invalid, dropping_cancels, runs_as_many_as_it_says,
    shutdown_cancels,
};

/// The input on which the functions under test misbehave.
pub const BAD: &[u8] = b"misbehave";

/// The functions under test, each a job of one `fn(Vec<u8>) -> Vec<u8>` that gives its input back. All but the first
/// do something else when the input is [`BAD`]. Their jobs' ids differ.
#[derive(Debug, Clone)]
pub struct Functions {
    /// Always gives its input back.
    pub echo: JobSpec,
    /// Returns an error (it is called as `try_map`) whose message contains `failed as told`.
    pub fail: JobSpec,
    /// Panics with a message that contains `panicked as told`.
    pub panic: JobSpec,
    /// Ends its process, by a signal or by `exit`.
    pub crash: JobSpec,
    /// Never ends.
    pub looping: JobSpec,
}

impl Functions {
    /// Jobs of functions that workers know by name: `echo`, `fail`, `panic`, `crash` and `loop`, which are their jobs'
    /// ids and labels too.
    pub fn by_name() -> Self {
        let job = |name: &str| JobSpec::named(name, ImageId([0; 32]), name, Call::Map);
        Self {
            echo: job("echo"),
            fail: job("fail"),
            panic: job("panic"),
            crash: job("crash"),
            looping: job("loop"),
        }
    }
}

/// An invoker under test and what belongs to it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What is tested.
    pub invoker: Arc<dyn Invoker>,
    /// The storage that its workers can read and write.
    pub storage: Arc<dyn Storage>,
    /// What they can run.
    pub functions: Functions,
}

/// Every check, by name. The last one leaves an invoker that is shut down.
const CHECKS: &[(&str, Check<Subject>)] = checks![
    results_come_back,
    empty_elements,
    large_payloads,
    stored_inputs,
    failures_are_results,
    deaths_are_blamed,
    time_outs_are_blamed,
    runs_as_many_as_it_says,
    all_that_may_wait_is_taken,
    dropping_cancels,
    detached_works_or_is_invalid,
    shutdown_cancels,
];

/// Runs every check but those declared as gaps. The invoker is shut down afterwards.
///
/// # Panics
///
/// When a check fails, after all have run, with the names of those that did; and when a gap names no check.
pub async fn run_all(subject: &Subject, gaps: &[Gap]) {
    let failed = failing(subject, CHECKS, gaps).await;
    assert!(
        failed.is_empty(),
        "{:?} does not keep the contract of invokers: {failed:?} failed",
        subject.invoker
    );
}

/// What became of one element.
type Outcome = Option<Result<Vec<u8>, TaskFailure>>;

/// The input records of these elements.
pub(crate) fn records(elements: &[Vec<u8>]) -> Bytes {
    let mut out = Vec::new();
    for element in elements {
        let done = append_input(&mut out, |out| codec::encode(element, out));
        done.unwrap_or_else(|error| panic!("the suite's inputs have an encoding: {error}"));
    }
    Bytes::from(out)
}

/// A new invocation of these elements, as the client makes it.
pub fn invocation(job: &JobSpec, elements: &[Vec<u8>]) -> Invocation {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
    let inputs = Payload::Inline(vec![records(elements)]);
    Invocation {
        whole: true,
        ..Invocation::first(
            Arc::new(job.clone()),
            NEXT.fetch_add(1, Ordering::Relaxed),
            elements.len() as u32,
            inputs,
        )
    }
}

impl Subject {
    /// Invokes and waits. The reply, and what became of each element.
    pub(crate) async fn run(&self, invocation: Invocation) -> (Reply, Vec<Outcome>) {
        let recorder = Recorder::new();
        let (id, count, label) = (invocation.id, invocation.count, invocation.job.label.clone());
        let reply = self.invoker.invoke(invocation, &recorder.events()).await;
        let reply = reply.unwrap_or_else(|error| panic!("{label} of {count} elements: {error}"));
        let streamed = recorder.close();
        let mut outcomes = vec![None; count as usize];
        for (of, batch) in &streamed {
            assert_eq!(*of, id, "{label}: a report of another invocation");
            self.place(batch, &mut outcomes).await;
        }
        for batch in &reply.results {
            self.place(batch, &mut outcomes).await;
        }
        (reply, outcomes)
    }

    /// Puts each result of a batch in its element's place, which must be empty.
    async fn place(&self, batch: &ResultBatch, outcomes: &mut [Outcome]) {
        assert!(batch.count > 0, "an empty batch");
        let mut at = 0;
        for k in batch.offset..batch.offset + batch.count {
            let (tag, body, len) = split_result(&batch.records[at..]).expect("results are readable");
            at += len;
            let outcome = match tag {
                ResultTag::Output => Ok(codec::decode(body).expect("an output is readable")),
                ResultTag::Failure => Err(codec::decode(body).expect("a failure is readable")),
                ResultTag::Stored => {
                    let payload: Payload = codec::decode(body).expect("a stored result is readable");
                    let bytes = self.load(payload).await;
                    Ok(codec::decode(&bytes).expect("a stored output is readable"))
                }
            };
            let place = outcomes.get_mut(k as usize).expect("a result is about an element of the invocation");
            assert!(place.is_none(), "element {k} has two results");
            *place = Some(outcome);
        }
        assert_eq!(at, batch.records.len(), "as many records as the batch says");
    }

    async fn load(&self, payload: Payload) -> Bytes {
        match payload {
            Payload::Inline(parts) => Bytes::from(parts.concat()),
            Payload::Stored { key, offset, len } => {
                let key = Key::new(key).expect("the key of a stored result is valid");
                let got = self.storage.get_range(&key, offset..offset + len).await;
                got.unwrap_or_else(|error| panic!("a stored result: {error}"))
            }
        }
    }

    /// Checks that an echo of these elements gives them back.
    pub(crate) async fn assert_echo(&self, job: &JobSpec, elements: &[Vec<u8>]) {
        let (reply, outcomes) = self.run(invocation(job, elements)).await;
        assert_eq!(reply.stopped, None, "nothing stops an echo");
        assert_echoed(&outcomes, elements);
    }
}

#[track_caller]
pub(crate) fn assert_echoed(outcomes: &[Outcome], elements: &[Vec<u8>]) {
    for (k, (outcome, element)) in outcomes.iter().zip(elements).enumerate() {
        match outcome {
            Some(Ok(output)) => assert!(output == element, "element {k} gave something else back"),
            other => panic!("element {k}: {other:?}"),
        }
    }
}

/// A job like this one, apart from its id and what `change` does.
pub(crate) fn variant(job: &JobSpec, name: &str, change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut job = JobSpec { id: format!("{}-{name}", job.id), ..job.clone() };
    change(&mut job);
    job
}

/// Elements that all differ.
pub(crate) fn elements(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|k| format!("element {k}{}", "-".repeat(k % 200)).into_bytes()).collect()
}

//! A run of elements of one job, and the loop that runs it.

use std::cell::Cell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

use super::current::{self, monotonic_nanos};
use super::host::Host;
use super::outbox::lock;
use super::panics;
use crate::codec;
use crate::failure::{FailureKind, TaskFailure};
use crate::invoker::JobSpec;
use crate::protocol::message::{MAX_RECORDS, Run};
use crate::protocol::records::{ResultTag, append_result, split_input};
use crate::raw::page::SLOTS;

/// An element that ran longer than this has its output looked for at its end.
const SLOW_NANOS: u64 = 1_000;
/// A buffer that has grown beyond this is given back after use.
const KEEP: usize = 1 << 20;

/// A run of elements of one job in a function process.
pub struct Chunk<'a> {
    pub(super) host: &'static Host,
    pub(super) runtime: &'a OnceLock<tokio::runtime::Runtime>,
    pub(super) job: &'a Arc<JobSpec>,
    pub(super) run: &'a Run,
}

impl std::fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunk").field("job", &self.job.id).field("run", self.run).finish_non_exhaustive()
    }
}

/// Walks over the inputs as elements are claimed.
pub(super) struct Inputs<'a> {
    rest: &'a [u8],
    /// Elements passed over.
    passed: u32,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { rest: &run.inputs, passed: 0 }
    }

    /// The input of an element; ask in ascending order. `None` if the bytes are not the records they should be.
    #[inline]
    pub(super) fn get(&mut self, element: u32) -> Option<&'a [u8]> {
        loop {
            let (input, len) = split_input(self.rest).ok()?;
            self.rest = &self.rest[len..];
            self.passed += 1;
            if self.passed > element {
                return Some(input);
            }
        }
    }
}

impl Chunk<'_> {
    /// Runs every element in order, on as many threads as the job's concurrency says. `apply` decodes the input,
    /// calls the user's function and appends the encoded output.
    pub fn run<G>(&self, apply: G)
    where
        G: Fn(&[u8], &mut Vec<u8>) -> Result<(), TaskFailure> + Sync,
    {
        let threads = (self.run.concurrency.min(self.run.count) as usize).min(SLOTS);
        if threads <= 1 {
            let mut inputs = Inputs::new(self.run);
            return self.work(0, true, || self.host.control.claim().map(|i| (i, inputs.get(i))), &apply);
        }
        let inputs = Mutex::new(Inputs::new(self.run));
        let next = || {
            let mut inputs = lock(&inputs);
            self.host.control.claim().map(|i| (i, inputs.get(i)))
        };
        let work = |slot| {
            current::set_job(Some(self.job));
            self.work(slot, false, next, &apply);
        };
        std::thread::scope(|scope| {
            for slot in 1..threads {
                let thread = std::thread::Builder::new().name("task".to_owned()).stack_size(self.host.stack);
                if let Err(error) = thread.spawn_scoped(scope, move || work(slot)) {
                    // Fewer threads do the same work.
                    eprintln!("rustwren: cannot start a thread for tasks: {error}");
                    break;
                }
            }
            work(0);
        });
    }

    fn work<'i, G, N>(&self, slot: usize, alone: bool, mut next: N, apply: &G)
    where
        G: Fn(&[u8], &mut Vec<u8>) -> Result<(), TaskFailure>,
        N: FnMut() -> Option<(u32, Option<&'i [u8]>)>,
    {
        let mut scratch = Vec::new();
        let now = Cell::new(monotonic_nanos());
        let element = Cell::new(0);
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                panics::__rust_begin_short_backtrace(|| {
                    while let Some((i, input)) = next() {
                        element.set(i);
                        let since = now.get();
                        if alone {
                            self.host.page.set_started_alone(i + 1);
                        } else {
                            self.host.page.set_started(i + 1);
                        }
                        self.host.page.enter(slot, i, since);
                        current::enter(self.run.first + u64::from(i), self.run.attempt, since);
                        scratch.clear();
                        let result = match input {
                            Some(input) => {
                                append_result(&mut scratch, ResultTag::Output, |out| apply(input, out))
                            }
                            None => Err(malformed()),
                        };
                        now.set(self.finish(Some(slot), i, since, result, &mut scratch));
                    }
                });
            }));
            let Err(payload) = outcome else { break };
            scratch.clear();
            let failure = panics::failure(payload);
            now.set(self.finish(Some(slot), element.get(), now.get(), Err(failure), &mut scratch));
        }
        current::leave();
    }

    /// Notes an element's result, which is in `scratch` unless it is a failure. Returns the time.
    #[inline]
    pub(super) fn finish(
        &self,
        slot: Option<usize>,
        element: u32,
        since: u64,
        result: Result<(), TaskFailure>,
        scratch: &mut Vec<u8>,
    ) -> u64 {
        self.finish_list(slot, (element, 1), since, result, scratch)
    }

    /// Notes the one result of so many elements from this one on.
    #[inline]
    pub(super) fn finish_list(
        &self,
        slot: Option<usize>,
        (element, count): (u32, u32),
        since: u64,
        result: Result<(), TaskFailure>,
        scratch: &mut Vec<u8>,
    ) -> u64 {
        let host = self.host;
        let now = monotonic_nanos();
        let fine = result.is_ok() && scratch.len() <= MAX_RECORDS;
        if !fine {
            self.fail(result, scratch);
        }
        if !fine || now.saturating_sub(since) > SLOW_NANOS {
            let still = self.first_running(slot, element);
            host.check_output(self.run.call, host.page.started(), still);
        }
        if self.run.concurrency <= 1 {
            host.tidy();
        }
        // One by one, the call is over with its last element, and sees to what waits itself.
        let last = self.run.concurrency <= 1 && element + count == self.run.count;
        if host.outbox.result(&host.page, self.run.call, (element, count), scratch, (!last).then_some(now)) {
            host.flusher.results_wait();
        }
        if let Some(slot) = slot {
            host.page.leave(slot);
        }
        if scratch.capacity() > KEEP {
            *scratch = Vec::new();
        }
        now
    }

    /// The first element still running when the one given ends.
    fn first_running(&self, slot: Option<usize>, element: u32) -> u32 {
        let page = &self.host.page;
        let started = page.started();
        if self.run.concurrency <= 1 {
            return started;
        }
        let busy = page.busy().map(|busy| busy.element).filter(|&i| slot.is_some() && i != element);
        let parked = page.parked().filter(|&i| i != element);
        busy.chain(parked).min().unwrap_or(started)
    }

    #[cold]
    fn fail(&self, result: Result<(), TaskFailure>, scratch: &mut Vec<u8>) {
        let mut failure = match result {
            Err(failure) => failure,
            Ok(()) => TaskFailure::new(
                FailureKind::Output,
                format!("it takes {} bytes, and one result may take {MAX_RECORDS}", scratch.len()),
            ),
        };
        self.host.add_tail(self.run.call, self.host.page.started(), &mut failure);
        scratch.clear();
        let appended = append_result(scratch, ResultTag::Failure, |out| codec::encode(&failure, out));
        debug_assert!(appended.is_ok(), "a failure can be encoded: its type has only plain fields");
    }
}

/// The supervisor has sent something else than so many input records.
#[cold]
pub(super) fn malformed() -> TaskFailure {
    TaskFailure::new(FailureKind::Input, "the invocation's inputs are not as many records as it says")
}

/// Appends a result that is encoded already.
pub(super) fn append_output(scratch: &mut Vec<u8>, output: &[u8]) {
    let copy = |out: &mut Vec<u8>| {
        out.extend_from_slice(output);
        Ok::<(), Infallible>(())
    };
    match append_result(scratch, ResultTag::Output, copy) {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

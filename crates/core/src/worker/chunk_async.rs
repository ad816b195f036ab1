//! The loop that runs a chunk of an async function.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Chunk;
use super::chunk::{Inputs, append_output, malformed};
use super::current::{self, monotonic_nanos};
use super::panics;
use crate::failure::{FailureKind, TaskFailure};
use crate::raw::page::PARKED;

/// An element that is over: where it was parked, when it began, what came of it.
struct Ended {
    element: u32,
    place: usize,
    since: u64,
    result: Result<Vec<u8>, TaskFailure>,
}

impl Chunk<'_> {
    /// The same as [`Self::run`] for async functions, on this process's current-thread tokio runtime, with as
    /// many elements at once as the job's concurrency says.
    pub fn run_async<G, Fut>(&self, start: G)
    where
        G: Fn(&[u8]) -> Result<Fut, TaskFailure>,
        Fut: Future<Output = Result<Vec<u8>, TaskFailure>>,
    {
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => self.runtime.get_or_init(|| runtime),
                Err(error) => return self.fail_all(&format!("cannot start the async runtime: {error}")),
            },
        };
        runtime.block_on(self.drive(&start));
        current::leave();
    }

    fn fail_all(&self, message: &str) {
        let mut scratch = Vec::new();
        while let Some(element) = self.host.control.claim() {
            self.host.page.set_started_alone(element + 1);
            let failure = TaskFailure::new(FailureKind::Input, message);
            self.finish(None, element, 0, Err(failure), &mut scratch);
        }
    }

    async fn drive<G, Fut>(&self, start: &G)
    where
        G: Fn(&[u8]) -> Result<Fut, TaskFailure>,
        Fut: Future<Output = Result<Vec<u8>, TaskFailure>>,
    {
        let page = &self.host.page;
        let at_once = (self.run.concurrency as usize).min(PARKED);
        let mut free: Vec<usize> = (0..at_once).rev().collect();
        let mut inputs = Inputs::new(self.run);
        let mut running = FuturesUnordered::new();
        let mut scratch = Vec::new();
        let mut more = true;
        loop {
            while more && let Some(place) = free.pop() {
                let Some(element) = self.host.control.claim() else {
                    more = false;
                    break;
                };
                page.park(place, element);
                page.set_started_alone(element + 1);
                running.push(self.element(element, place, inputs.get(element), start));
            }
            let Some(ended) = running.next().await else { break };
            scratch.clear();
            let result = ended.result.map(|output| append_output(&mut scratch, &output));
            self.finish(None, ended.element, ended.since, result, &mut scratch);
            page.unpark(ended.place);
            free.push(ended.place);
            // Lets timers and sockets be served even if every element is ready at once.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Runs one element to its end, panic or time limit.
    async fn element<G, Fut>(&self, element: u32, place: usize, input: Option<&[u8]>, start: &G) -> Ended
    where
        G: Fn(&[u8]) -> Result<Fut, TaskFailure>,
        Fut: Future<Output = Result<Vec<u8>, TaskFailure>>,
    {
        let since = monotonic_nanos();
        let result = async {
            let input = input.ok_or_else(malformed)?;
            let mut future = Some(Box::pin(self.inside(element, since, || start(input))??));
            let polled = poll_fn(|cx| {
                let Some(future) = future.as_mut() else {
                    return Poll::Pending;
                };
                match self.inside(element, since, || future.as_mut().poll(cx)) {
                    Ok(poll) => poll,
                    Err(panic) => Poll::Ready(Err(panic)),
                }
            });
            let result = match self.job.task_timeout {
                None => polled.await,
                Some(limit) => match tokio::time::timeout(limit, polled).await {
                    Ok(result) => result,
                    Err(_) => Err(TaskFailure::new(FailureKind::TimedOut(limit), "")),
                },
            };
            // What it holds is the user's, too, and may panic when it is dropped.
            let ending: Option<Pin<Box<Fut>>> = future.take();
            self.inside(element, since, || drop(ending)).and(result)
        };
        let result = result.await;
        Ended { element, place, since, result }
    }

    /// Runs the user's code for an element on this thread.
    fn inside<T>(&self, element: u32, since: u64, code: impl FnOnce() -> T) -> Result<T, TaskFailure> {
        self.host.page.enter(0, element, since);
        current::enter(self.run.first + u64::from(element), self.run.attempt, since);
        let outcome = catch_unwind(AssertUnwindSafe(|| panics::__rust_begin_short_backtrace(code)));
        current::leave();
        self.host.page.leave(0);
        outcome.map_err(panics::failure)
    }
}

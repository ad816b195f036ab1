//! A wrapped invoker that does as it is told, and a book of what both sides saw.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustwren_chaos::{ChaosInvoker, ChaosPlan};
use rustwren_core::clock::Clock;
use rustwren_core::error::BackendError;
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, LogLine, Payload, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, append_input, append_result};
use rustwren_testkit::invoker_suite::Functions;
use rustwren_testkit::sim::{SimClock, SimExecutor};

/// What happened, in order, with the time in seconds.
#[derive(Clone)]
pub(crate) struct Book {
    clock: SimClock,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Book {
    pub(crate) fn note(&self, what: impl fmt::Display) {
        self.lines.lock().unwrap().push(format!("{:.1} {what}", self.clock.now().as_secs_f64()));
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// Runs elements for one second each, and streams each result or sends all with the reply.
pub(crate) struct Worker {
    book: Book,
    limits: Limits,
    streams: bool,
    stores: bool,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

/// Tells when a run is given up.
struct Run {
    book: Book,
    name: String,
    over: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.over {
            self.book.note(format_args!("{} stopped", self.name));
        }
    }
}

impl Worker {
    fn result(&self, offset: u32, index: u64) -> ResultBatch {
        let tag = if self.stores { ResultTag::Stored } else { ResultTag::Output };
        let mut records = Vec::new();
        append_result(&mut records, tag, |out| {
            out.extend(index.to_le_bytes());
            Ok::<(), ()>(())
        })
        .unwrap();
        ResultBatch { offset, count: 1, records: Bytes::from(records) }
    }
}

#[async_trait]
impl Invoker for Worker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let Invocation { id, first, count, .. } = invocation;
        let copy = if id >> 63 == 1 { "copy " } else { "" };
        let name = format!("worker: {copy}{first}+{count}");
        let mut run = Run { book: self.book.clone(), name, over: false };
        self.book.note(format_args!("{} begins", run.name));
        events.started(id);
        let mut reply = Reply::default();
        for offset in 0..count {
            self.book.clock.sleep(Duration::from_secs(1)).await;
            let batch = self.result(offset, first + u64::from(offset));
            if self.streams {
                events.results(id, batch);
            } else {
                reply.results.push(batch);
            }
        }
        run.over = true;
        self.book.note(format_args!("{} ends", run.name));
        Ok(reply)
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.book.note(format_args!("worker: takes {}+{}", invocation.first, invocation.count));
        Ok(())
    }

    async fn shutdown(&self) {
        self.book.note("worker: shut down");
    }
}

/// The client's side of the book.
struct Client(Book);

impl Events for Client {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        let ResultBatch { offset, count, .. } = batch;
        self.0.note(format_args!("client: {invocation} results {offset}+{count}"));
    }

    fn started(&self, invocation: u64) {
        self.0.note(format_args!("client: {invocation} started"));
    }

    fn alive(&self, invocation: u64) {
        self.0.note(format_args!("client: {invocation} alive"));
    }

    fn log(&self, invocation: u64, _: LogLine) {
        self.0.note(format_args!("client: {invocation} log"));
    }
}

/// A chaotic invoker over a [`Worker`], in simulated time.
pub(crate) struct Bench {
    pub(crate) clock: SimClock,
    pub(crate) executor: SimExecutor,
    pub(crate) book: Book,
    pub(crate) chaos: Arc<ChaosInvoker>,
    pub(crate) events: Arc<dyn Events>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Results {
    Streamed,
    Replied,
    Stored,
}

impl Bench {
    pub(crate) fn new(plan: ChaosPlan, results: Results, seed: u64) -> Self {
        Self::with_limits(plan, results, seed, Limits::unlimited(4))
    }

    pub(crate) fn with_limits(plan: ChaosPlan, results: Results, seed: u64, limits: Limits) -> Self {
        let clock = SimClock::new();
        let executor = SimExecutor::new(clock.clone(), seed);
        let book = Book { clock: clock.clone(), lines: Arc::default() };
        let worker = Worker {
            book: book.clone(),
            limits,
            streams: results == Results::Streamed,
            stores: results == Results::Stored,
        };
        let spawner = executor.spawner();
        let spawn = Arc::new(move |task| spawner.spawn("background", task));
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let chaos = Arc::new(ChaosInvoker::with_spawn(Arc::new(worker), plan, time, seed, spawn));
        let events = Arc::new(Client(book.clone()));
        Self { clock, executor, book, chaos, events }
    }

    /// Sends an invocation and waits for its end, which is noted.
    pub(crate) fn sent(&self, id: u64, first: u64, count: u32) -> impl Future<Output = ()> + use<> {
        let (chaos, events, book) = (Arc::clone(&self.chaos), Arc::clone(&self.events), self.book.clone());
        let invocation = invocation(id, first, count);
        async move {
            match chaos.invoke(invocation, &events).await {
                Ok(reply) => {
                    let results: u32 = reply.results.iter().map(|batch| batch.count).sum();
                    let back = if reply.stopped.is_some() { ", stopped" } else { "" };
                    book.note(format_args!("client: {id} replied, {results} results{back}"));
                }
                Err(error) => book.note(format_args!("client: {id} failed: {:?}", error.class())),
            }
        }
    }

    /// Sends one invocation of so many elements and waits until nothing goes on any more. What happened.
    pub(crate) fn one(&mut self, count: u32) -> Vec<String> {
        let sent = self.sent(1, 0, count);
        self.executor.block_on(sent).unwrap();
        self.book.lines()
    }
}

pub(crate) fn invocation(id: u64, first: u64, count: u32) -> Invocation {
    let mut records = Vec::new();
    for index in first..first + u64::from(count) {
        append_input(&mut records, |out| {
            out.extend(index.to_le_bytes());
            Ok::<(), ()>(())
        })
        .unwrap();
    }
    Invocation {
        first,
        whole: true,
        ..Invocation::first(
            Arc::new(Functions::by_name().echo),
            id,
            count,
            Payload::Inline(vec![Bytes::from(records)]),
        )
    }
}

//! Runs tests, and what they share.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use libtest_mimic::{Arguments, Trial};
use rustwren_core::codec;
use rustwren_core::entry::Call;
use rustwren_core::error::BackendError;
use rustwren_core::failure::TaskFailure;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invocation, JobSpec, LogLine, Payload, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, append_input, split_result};
use rustwren_core::storage::Storage;
use rustwren_runtime::{Life, Pool, PoolOptions, fetch};

pub(crate) type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// The tests of a module, by name.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[$crate::harness::Test] = &[$((stringify!($name), || Box::pin($name()))),*];
    };
}

pub(crate) fn main(tests: &[Test]) -> ExitCode {
    let trial = |&(name, test): &Test| {
        Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(test());
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.iter().map(trial).collect()).exit_code()
}

pub(crate) const IMAGE: ImageId = ImageId([0xab; 32]);

pub(crate) fn pool(workers: usize) -> Pool {
    pool_with(workers, |_| {})
}

pub(crate) fn pool_with(workers: usize, change: impl FnOnce(&mut PoolOptions)) -> Pool {
    let mut options = PoolOptions::new(IMAGE);
    options.workers = workers;
    // What panics print is to be the same wherever the tests run.
    options.set = vec![("RUST_BACKTRACE".into(), "0".into())];
    change(&mut options);
    Pool::new(options, None)
}

pub(crate) fn job(function: &str) -> JobSpec {
    JobSpec::named(format!("job-{function}"), IMAGE, function, Call::Map)
}

pub(crate) fn invocation<I: AsRef<[u8]>>(job: &Arc<JobSpec>, inputs: &[I]) -> Invocation {
    let mut records = Vec::new();
    for input in inputs {
        append_input(&mut records, |out| {
            out.extend_from_slice(input.as_ref());
            Ok::<(), ()>(())
        })
        .unwrap();
    }
    Invocation {
        first: 100,
        ..Invocation::first(
            Arc::clone(job),
            fastrand_id(),
            inputs.len() as u32,
            Payload::Inline(vec![Bytes::from(records)]),
        )
    }
}

fn fastrand_id() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Notes what is told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) batches: Mutex<Vec<(u64, ResultBatch)>>,
    pub(crate) logs: Mutex<Vec<(u64, LogLine)>>,
    pub(crate) started: Mutex<Vec<u64>>,
    pub(crate) alive: Mutex<Vec<u64>>,
    pub(crate) changed: tokio::sync::Notify,
}

impl Events for Recorder {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        self.batches.lock().unwrap().push((invocation, batch));
        self.changed.notify_one();
    }

    fn started(&self, invocation: u64) {
        self.started.lock().unwrap().push(invocation);
        self.changed.notify_one();
    }

    fn alive(&self, invocation: u64) {
        self.alive.lock().unwrap().push(invocation);
        self.changed.notify_one();
    }

    fn log(&self, invocation: u64, line: LogLine) {
        self.logs.lock().unwrap().push((invocation, line));
        self.changed.notify_one();
    }
}

impl Recorder {
    /// Waits until what was told is as asked.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            self.changed.notified().await;
        }
    }

    pub(crate) fn log_of(&self, element: u32, stderr: bool) -> String {
        let logs = self.logs.lock().unwrap();
        let of = logs.iter().filter(|(_, l)| l.stderr == stderr && l.offset == element && l.count == 1);
        String::from_utf8(of.flat_map(|(_, l)| l.bytes.to_vec()).collect()).unwrap()
    }
}

/// What became of each element: its result, if any.
pub(crate) type Outcomes = Vec<Option<Result<Vec<u8>, TaskFailure>>>;

pub(crate) struct Ran {
    pub(crate) reply: Reply,
    pub(crate) outcomes: Outcomes,
    pub(crate) recorder: Arc<Recorder>,
}

impl Ran {
    pub(crate) fn failed(&self) -> &[(u32, TaskFailure)] {
        self.reply.stopped.as_ref().map_or(&[], |stopped| &stopped.failed)
    }

    pub(crate) fn outputs(&self) -> Vec<Vec<u8>> {
        self.outcomes.iter().map(|o| o.clone().unwrap().unwrap()).collect()
    }

    /// The only failure among the results.
    pub(crate) fn failure(&self, element: usize) -> &TaskFailure {
        self.outcomes[element].as_ref().unwrap().as_ref().unwrap_err()
    }
}

pub(crate) async fn try_run(pool: &Pool, invocation: Invocation) -> Result<Ran, BackendError> {
    run_with(pool, invocation, Arc::default()).await
}

pub(crate) async fn run_with(
    pool: &Pool,
    invocation: Invocation,
    recorder: Arc<Recorder>,
) -> Result<Ran, BackendError> {
    run_for(Life::Unlimited, pool, invocation, recorder).await
}

pub(crate) async fn run_for(
    life: Life,
    pool: &Pool,
    invocation: Invocation,
    recorder: Arc<Recorder>,
) -> Result<Ran, BackendError> {
    let (id, count) = (invocation.id, invocation.count);
    let events: Arc<dyn Events> = recorder.clone();
    let reply = pool.invoke_for(life, invocation, &events).await?;
    Ok(collect(id, count, reply, recorder, None).await)
}

/// Puts what was told of an invocation together with its reply. Results may lie in `storage`.
pub(crate) async fn collect(
    id: u64,
    count: u32,
    reply: Reply,
    recorder: Arc<Recorder>,
    storage: Option<&dyn Storage>,
) -> Ran {
    let mut outcomes: Outcomes = vec![None; count as usize];
    let told = recorder.batches.lock().unwrap().clone();
    let told = told.into_iter().filter(|(i, _)| *i == id).map(|(_, batch)| batch);
    for batch in told.chain(reply.results.iter().cloned()) {
        let mut records = &batch.records[..];
        for element in batch.offset..batch.offset + batch.count {
            let (tag, body, len) = split_result(records).unwrap();
            records = &records[len..];
            let outcome = match tag {
                ResultTag::Output => Ok(body.to_vec()),
                ResultTag::Failure => Err(codec::decode(body).unwrap()),
                ResultTag::Stored => {
                    let Ok(Payload::Stored { key, offset, len }) = codec::decode(body) else {
                        panic!("it lies in storage")
                    };
                    Ok(fetch(storage.unwrap(), &key, offset, len).await.unwrap().to_vec())
                }
            };
            let place = &mut outcomes[element as usize];
            assert!(place.replace(outcome).is_none(), "element {element} has two results");
        }
        assert!(records.is_empty());
    }
    Ran { reply, outcomes, recorder }
}

pub(crate) async fn run<I: AsRef<[u8]>>(pool: &Pool, function: &str, inputs: &[I]) -> Ran {
    try_run(pool, invocation(&Arc::new(job(function)), inputs)).await.unwrap()
}

/// Whether a process exists.
pub(crate) fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

//! Results that workers leave in storage, when storage has its bad days.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::HashMap;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rustwren_core::codec;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Invoker, JobSpec, Payload};
use rustwren_core::protocol::records::{ResultTag, append_input, append_result};
use rustwren_core::scheduler::input::{Block, Ready};
use rustwren_core::scheduler::outbox::{Delivery, Outbox};
use rustwren_core::scheduler::slots::Slots;
use rustwren_core::scheduler::stats::JobStats;
use rustwren_core::scheduler::{Commands, JobOptions, JobRun, Resources};
use rustwren_core::storage::{
    Key, MemoryStorage, ObjectMeta, PutOutcome, Storage, StorageExt, StorageResult,
};
use rustwren_testkit::InstantInvoker;
use rustwren_testkit::sim::{SimClock, SimExecutor};

/// Storage whose reads of one object fail as told, one after the other.
#[derive(Debug, Default)]
struct Failing {
    inner: MemoryStorage,
    failures: Mutex<HashMap<String, Vec<ErrorClass>>>,
}

#[async_trait]
impl Storage for Failing {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.inner.put(key, data).await
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.inner.put_if_absent(key, data).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let failure = self.failures.lock().unwrap().get_mut(&key.to_string()).and_then(Vec::pop);
        match failure {
            Some(class) => Err(BackendError::new(class, "told to fail")),
            None => self.inner.get_range(key, range).await,
        }
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        self.inner.head(key).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.inner.delete(key).await
    }
}

const ELEMENTS: u32 = 3;

fn key(index: u64) -> String {
    format!("jobs/stored/out/{index}")
}

/// Runs a job of three elements in one chunk, whose results are stored: half as long as announced for the one
/// that is `short`, and not read while `failures` last.
fn run(failures: &[(u64, &[ErrorClass])], short: Option<u64>) -> (Result<Vec<u64>, Error>, JobStats) {
    let storage = Arc::new(Failing::default());
    for (index, classes) in failures {
        storage.failures.lock().unwrap().insert(key(*index), classes.to_vec());
    }
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    for index in 0..u64::from(ELEMENTS) {
        let body = Bytes::copy_from_slice(&index.to_le_bytes());
        executor.block_on(storage.put(&Key::new(key(index)).unwrap(), body)).unwrap().unwrap();
    }
    let other = Key::new("jobs/other/out/0").unwrap();
    executor.block_on(storage.put(&other, Bytes::new())).unwrap().unwrap();
    let kept = Arc::clone(&storage);
    let invoker = Arc::new(InstantInvoker::new(1, move |invocation| {
        let mut records = Vec::new();
        for index in invocation.first..invocation.first + u64::from(invocation.count) {
            let len = if short == Some(index) { 16 } else { 8 };
            let place = Payload::Stored { key: key(index), offset: 0, len };
            append_result(&mut records, ResultTag::Stored, |out| {
                out.extend(codec::to_vec(&place).unwrap());
                Ok::<(), BackendError>(())
            })?;
        }
        Ok(Bytes::from(records))
    }));
    let resources =
        Resources { slots: Slots::new(invoker.limits()), invoker, storage, clock: Arc::new(clock) };
    let target = Target::Named { name: "stored".to_owned(), call: Call::Map };
    let spec = JobSpec {
        id: "stored".to_owned(),
        label: "stored".to_owned(),
        entry: Entry { image: ImageId([0; 32]), target },
        shared: None,
        task_timeout: None,
        concurrency: 1,
    };
    let mut bytes = Vec::new();
    for index in 0..ELEMENTS {
        append_input(&mut bytes, |out| {
            out.push(index as u8);
            Ok::<(), ()>(())
        })
        .unwrap();
    }
    let options = JobOptions { chunk_size: Some(ELEMENTS), ..JobOptions::default() };
    let outbox = Outbox::new(Commands::default(), options.result_buffer);
    let source = Ready::new([Block { count: ELEMENTS, bytes: Bytes::from(bytes) }]);
    let job = JobRun::new(Arc::new(spec), options, Box::new(source), outbox.clone(), resources);
    executor.spawner().spawn("job", job);
    let reader = outbox.clone();
    let got = executor.block_on(async move {
        let mut got = Vec::new();
        while let Some(delivery) = poll_fn(|cx| reader.poll_next(cx)).await {
            match delivery? {
                Delivery::Results { first, count, records } => {
                    assert_eq!((count, &records[records.len() - 8..]), (1, &first.to_le_bytes()[..]));
                    got.push(first);
                }
                Delivery::Failed(error) => panic!("{error}"),
            }
        }
        got.sort_unstable();
        Ok::<_, Error>(got)
    });
    let left = executor.block_on(async move { kept.list_all("").await }).unwrap().unwrap();
    let left: Vec<_> = left.into_iter().map(|object| object.key).collect();
    assert_eq!(left, [other], "nothing of the job's is left");
    (got.unwrap(), outbox.stats())
}

#[test]
fn passing_trouble_costs_neither_the_result_nor_its_neighbours() {
    let trouble = [ErrorClass::Transient, ErrorClass::Throttled { retry_after: None }, ErrorClass::TimedOut];
    let (got, stats) = run(&[(1, &trouble)], None);
    assert_eq!(got.unwrap(), [0, 1, 2]);
    assert_eq!((stats.invocations, stats.handed_back), (1, 0));
}

#[test]
fn an_element_whose_result_is_gone_is_run_again_alone() {
    let (got, stats) = run(&[(1, &[ErrorClass::NotFound])], None);
    assert_eq!(got.unwrap(), [0, 1, 2]);
    assert_eq!((stats.invocations, stats.handed_back, stats.duplicates), (2, 1, 0));
}

#[test]
fn a_result_that_stays_away_ends_the_job_after_a_while() {
    let (got, stats) = run(&[], Some(2));
    let error = got.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("8 of 16 bytes of a result are in jobs/stored/out/2"), "{error}");
    assert_eq!(stats.invocations, 1 + u64::from(JobOptions::default().patience));
}

#[test]
fn what_nobody_may_read_ends_the_job_at_once() {
    let (got, stats) = run(&[(0, &[ErrorClass::Denied])], None);
    let error = got.unwrap_err();
    assert_eq!((error.kind(), stats.invocations), (ErrorKind::Denied, 1));
    assert!(error.to_string().contains("a stored result could not be fetched"), "{error}");
}

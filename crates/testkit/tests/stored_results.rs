//! Results that workers leave in storage, when storage has its bad days.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::HashMap;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rustwren_core::clock::Clock;
use rustwren_core::codec;
use rustwren_core::durable::{JobId, Owner, Store};
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Invoker, JobSpec, Payload};
use rustwren_core::protocol::records::{ResultTag, append_input, append_list};
use rustwren_core::scheduler::input::{Block, Ready};
use rustwren_core::scheduler::outbox::{Delivery, Outbox};
use rustwren_core::scheduler::slots::Slots;
use rustwren_core::scheduler::stats::JobStats;
use rustwren_core::scheduler::{Commands, JobOptions, JobRun, Resources, Signs};
use rustwren_core::storage::{
    Key, MemoryStorage, ObjectMeta, PutOutcome, Storage, StorageExt, StorageResult,
};
use rustwren_testkit::InstantInvoker;
use rustwren_testkit::sim::{HashWork, Provider, SimClock, SimExecutor, SimInvoker, Times};

/// Storage whose reads of one object fail as told, one after the other.
#[derive(Debug, Default)]
struct Failing {
    inner: MemoryStorage,
    failures: Mutex<HashMap<String, Vec<ErrorClass>>>,
    /// Whose answers to puts come a second after what was put is there.
    slow: Option<SimClock>,
    /// What was read.
    reads: Mutex<Vec<(String, Range<u64>)>>,
}

#[async_trait]
impl Storage for Failing {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        let put = self.inner.put(key, data).await;
        if let Some(clock) = &self.slow {
            clock.sleep(Duration::from_secs(1)).await;
        }
        put
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.inner.put_if_absent(key, data).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.reads.lock().unwrap().push((key.to_string(), range.clone()));
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

/// Appends the result of so many elements, which lies there.
fn stored(records: &mut Vec<u8>, count: u32, key: String, offset: u64, len: u64) {
    let place = Payload::Stored { key, offset, len };
    append_list(records, count, ResultTag::Stored, |out| codec::encode(&place, out)).unwrap();
}

/// A job of this many elements in chunks of that many, and where its results go.
fn job(
    elements: u32,
    chunk: u32,
    invoker: Arc<dyn Invoker>,
    storage: Arc<dyn Storage>,
    clock: SimClock,
) -> (JobRun, Outbox) {
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
    for index in 0..elements {
        append_input(&mut bytes, |out| codec::encode(&index, out)).unwrap();
    }
    let options = JobOptions { chunk_size: Some(chunk), ..JobOptions::default() };
    let outbox = Outbox::new(Commands::default(), options.result_buffer);
    let source = Ready::new([Block { count: elements, bytes: Bytes::from(bytes) }]);
    (JobRun::new(Arc::new(spec), options, Box::new(source), outbox.clone(), resources), outbox)
}

/// All that a job delivers, in order, as first element, number of elements and records; `failed` for failures.
fn delivered(executor: &mut SimExecutor, outbox: Outbox) -> Vec<(u64, u32, Bytes)> {
    let got = executor.block_on(async move {
        let mut got = Vec::new();
        while let Some(delivery) = poll_fn(|cx| outbox.poll_next(cx)).await {
            match delivery.unwrap() {
                Delivery::Results { first, count, records } => got.push((first, count, records)),
                Delivery::Failed(error) => got.push((error.index, 1, Bytes::from_static(b"failed"))),
            }
        }
        got.sort_unstable_by_key(|(first, ..)| *first);
        got
    });
    got.unwrap()
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
            stored(&mut records, 1, key(index), 0, len);
        }
        Ok(Bytes::from(records))
    }));
    let (job, outbox) = job(ELEMENTS, ELEMENTS, invoker, storage, clock);
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

#[test]
fn neighbours_in_one_object_are_read_at_once_and_one_by_one_where_that_fails() {
    for (failures, reads) in [(Vec::new(), 2), (vec![ErrorClass::NotFound], 7)] {
        let storage = Arc::new(Failing::default());
        storage.failures.lock().unwrap().insert(key(0), failures);
        let clock = SimClock::new();
        let mut executor = SimExecutor::new(clock.clone(), 1);
        let body = Bytes::from((0..40).collect::<Vec<u8>>());
        let objects = Arc::clone(&storage);
        executor
            .block_on(async move {
                for object in [0, 1] {
                    objects.put(&Key::new(key(object)).unwrap(), body.clone()).await.unwrap();
                }
            })
            .unwrap();
        // Five of eight bytes each, and one elsewhere.
        let invoker = Arc::new(InstantInvoker::new(1, |_| {
            let mut records = Vec::new();
            (0..5).for_each(|k| stored(&mut records, 1, key(0), 8 * k, 8));
            stored(&mut records, 1, key(1), 8, 8);
            Ok(Bytes::from(records))
        }));
        let (job, outbox) = job(6, 6, invoker, Arc::clone(&storage) as Arc<dyn Storage>, clock);
        executor.spawner().spawn("job", job);
        let got = delivered(&mut executor, outbox.clone());
        for (index, (first, count, records)) in got.iter().enumerate() {
            let begin = if index == 5 { 8 } else { 8 * index as u8 };
            let expected: Vec<u8> = [8 << 2].into_iter().chain(begin..begin + 8).collect();
            assert_eq!((*first, *count, &records[..]), (index as u64, 1, &expected[..]));
        }
        assert_eq!(got.len(), 6);
        // One for all five, or that and one each; and one for the last.
        assert_eq!(storage.reads.lock().unwrap().len(), reads, "{:?}", storage.reads);
        assert_eq!(outbox.stats().invocations, 1);
    }
}

#[test]
fn a_stored_list_is_whole_and_is_run_again_whole() {
    for lost in [false, true] {
        let storage = Arc::new(Failing::default());
        if lost {
            storage.failures.lock().unwrap().insert(key(0), vec![ErrorClass::NotFound]);
        }
        let clock = SimClock::new();
        let mut executor = SimExecutor::new(clock.clone(), 1);
        let (objects, body) = (Arc::clone(&storage), Bytes::from_static(b"listlist"));
        executor
            .block_on(async move { objects.put(&Key::new(key(0)).unwrap(), body).await.unwrap() })
            .unwrap();
        let counts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&counts);
        let invoker = Arc::new(InstantInvoker::new(1, move |invocation| {
            seen.lock().unwrap().push((invocation.first, invocation.count));
            let mut records = Vec::new();
            stored(&mut records, invocation.count, key(0), 0, 8);
            Ok(Bytes::from(records))
        }));
        let (job, outbox) = job(5, 5, invoker, Arc::clone(&storage) as Arc<dyn Storage>, clock);
        executor.spawner().spawn("job", job);
        let got = delivered(&mut executor, outbox.clone());
        let expected = [&[8 << 2], &b"listlist"[..], &[0; 4]].concat();
        assert_eq!(got, [(0, 5, Bytes::from(expected))]);
        let runs = if lost { 2 } else { 1 };
        assert_eq!(*counts.lock().unwrap(), vec![(0, 5); runs]);
        assert_eq!(outbox.progress().done, 5);
    }
}

#[test]
fn a_stored_list_is_dropped_whose_element_has_ended_while_it_was_fetched() {
    let storage = Arc::new(Failing::default());
    // So that it takes a while.
    storage.failures.lock().unwrap().insert(key(0), vec![ErrorClass::Transient]);
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let objects = Arc::clone(&storage);
    executor
        .block_on(async move {
            for object in [0, 1] {
                let body = Bytes::from_static(b"listlist");
                objects.put(&Key::new(key(object)).unwrap(), body).await.unwrap();
            }
        })
        .unwrap();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&runs);
    let invoker = Arc::new(InstantInvoker::new(1, move |invocation| {
        let mut seen = seen.lock().unwrap();
        let mut records = Vec::new();
        stored(&mut records, invocation.count, key(u64::from(!seen.is_empty())), 0, 8);
        seen.push((invocation.first, invocation.count));
        Ok(Bytes::from(records))
    }));
    let (job, outbox) = job(4, 4, invoker, Arc::clone(&storage) as Arc<dyn Storage>, clock.clone());
    executor.spawner().spawn("job", job);
    let holder = outbox.clone();
    executor.spawner().spawn("cancel", async move {
        clock.sleep(Duration::from_millis(1)).await;
        holder.commands().cancel_element(2);
    });
    let got = delivered(&mut executor, outbox.clone());
    let list = |count: usize| Bytes::from([&[8 << 2], &b"listlist"[..], &vec![0; count - 1]].concat());
    assert_eq!(got, [(0, 2, list(2)), (2, 1, Bytes::from_static(b"failed")), (3, 1, list(1))]);
    assert_eq!(*runs.lock().unwrap(), [(0, 4), (0, 2), (3, 1)]);
    let progress = outbox.progress();
    assert_eq!((progress.done, progress.failed, progress.running), (3, 1, 0));
}

/// The keys of what is stored at some seconds of a job of one task, on a provider that stores results if it is `bounded`.
fn stored_meanwhile(bounded: bool, task: Duration, slow: bool, at: &[u64]) -> Vec<Vec<String>> {
    let mut provider = Provider::flawless(1);
    provider.times = Times::Constant(task);
    if bounded {
        provider.max_inline_output = 100;
    }
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let objects = MemoryStorage::new();
    let slow = slow.then(|| clock.clone());
    let storage: Arc<dyn Storage> = Arc::new(Failing { inner: objects.clone(), slow, ..Failing::default() });
    let (work, spawner) = (HashWork::default(), executor.spawner());
    let invoker = SimInvoker::new(provider, work, clock.clone(), spawner, Arc::clone(&storage), 1, false);
    let (job, outbox) = job(1, 1, Arc::new(invoker), Arc::clone(&storage), clock);
    let store = Store::new(storage, Arc::clone(&time));
    let (id, owner) = (JobId::new("stored").unwrap(), Owner::of_process("test"));
    let job = job.kept(Signs::new(&store, id, owner, Duration::from_secs(15), ImageId([0; 32])));
    executor.spawner().spawn("job", job);
    let at = at.to_vec();
    let seen = executor.block_on(async move {
        let mut seen = Vec::new();
        for at in at {
            time.sleep(Duration::from_secs(at).saturating_sub(time.now())).await;
            let objects = objects.list_all("").await.unwrap();
            seen.push(objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>());
        }
        seen
    });
    assert_eq!(outbox.progress().done, 1);
    seen.unwrap()
}

#[test]
fn a_job_that_takes_its_time_is_known_to_live_before_it_knows_of_stored_results() {
    let minute = Duration::from_mins(1);
    let beat = vec!["jobs/stored/beat".to_owned()];
    let seen = stored_meanwhile(true, minute, false, &[4, 6, 50, 70]);
    assert_eq!(seen, [Vec::new(), beat.clone(), beat, Vec::new()]);
    // Where nothing is stored but by the client, there is nothing that could be taken away.
    assert_eq!(stored_meanwhile(false, minute, false, &[6, 50]), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn a_first_sign_that_is_on_its_way_when_the_job_ends_does_not_stay() {
    // It is there from the fifth second on, and that it is comes to be known in the sixth.
    let seen = stored_meanwhile(true, Duration::from_millis(5_500), true, &[4, 9]);
    assert_eq!(seen, [Vec::<String>::new(), Vec::new()]);
}

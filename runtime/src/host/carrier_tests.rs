use std::ops::Range;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use proptest::prelude::*;
use rustwren_core::clock::TokioClock;
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::protocol::records::{append_input, append_result, input_bodies};
use rustwren_core::protocol::references::{Place, Referred};
use rustwren_core::storage::{
    Key, MemoryStorage, ObjectMeta, PutOutcome, Storage, StorageExt, StorageResult,
};

use super::*;

#[derive(Default)]
struct Record {
    batches: Mutex<Vec<ResultBatch>>,
    logs: Mutex<Vec<u8>>,
}

impl Events for Record {
    fn results(&self, _: u64, batch: ResultBatch) {
        self.batches.lock().unwrap().push(batch);
    }
    fn started(&self, _: u64) {}
    fn log(&self, _: u64, line: LogLine) {
        self.logs.lock().unwrap().extend(&line.bytes);
    }
}

struct Fixture {
    storage: Arc<MemoryStorage>,
    record: Arc<Record>,
    carrier: Arc<Carrier>,
}

impl Fixture {
    fn new(room: Room) -> Self {
        Self::storing(room, None)
    }

    fn storing(room: Room, store_above: Option<u64>) -> Self {
        let record = Arc::new(Record::default());
        let events: Arc<dyn Events> = Arc::clone(&record) as _;
        let carrier = Carrier::new(1, JobId::new("job").unwrap(), room, store_above, &events);
        Self { storage: Arc::new(MemoryStorage::new()), record, carrier }
    }

    async fn carry(&self, results: Vec<ResultBatch>) -> Reply {
        let beat = JobId::new("job").unwrap().beat_key().unwrap();
        self.storage.put(&beat, Bytes::from_static(b"alive")).await.unwrap();
        self.carry_unwatched(results).await
    }

    /// Nobody gives signs of life.
    async fn carry_unwatched(&self, results: Vec<ResultBatch>) -> Reply {
        let store = Store::new(Arc::clone(&self.storage) as _, Arc::new(TokioClock::new()));
        let run = async { Ok(Reply { results, ..Reply::default() }) };
        self.carrier.carry(&store, run).await.unwrap()
    }

    /// Every element that was reported, with its output as the client would read it.
    async fn outputs(&self) -> Vec<(u32, Vec<u8>)> {
        let batches = std::mem::take(&mut *self.record.batches.lock().unwrap());
        let mut outputs = Vec::new();
        for batch in batches {
            let mut rest = &batch.records[..];
            let mut k = batch.offset;
            while k < batch.offset + batch.count {
                let Together { count, tag, body, len, .. } = split_together(rest).unwrap();
                rest = &rest[len..];
                let output = match tag {
                    ResultTag::Output => body.to_vec(),
                    ResultTag::Failure => b"failure".to_vec(),
                    ResultTag::Stored => {
                        let Payload::Stored { key, offset, len } = codec::decode(body).unwrap() else {
                            panic!("it lies in storage")
                        };
                        let key = Key::new(key).unwrap();
                        self.storage.get_range(&key, offset..offset + len).await.unwrap().to_vec()
                    }
                };
                // The first of a list has the result of all.
                outputs.push((k, output));
                outputs.extend((k + 1..k + count).map(|k| (k, Vec::new())));
                k += count;
            }
            assert!(rest.is_empty() && k == batch.offset + batch.count);
        }
        outputs.sort();
        outputs
    }

    async fn objects(&self) -> usize {
        self.storage.list_all("jobs/job/out/").await.unwrap().len()
    }
}

fn output(k: u32, len: usize) -> Vec<u8> {
    vec![k as u8; len]
}

fn batch(elements: Range<u32>, len: usize) -> ResultBatch {
    let mut records = Vec::new();
    for k in elements.clone() {
        append_result(&mut records, ResultTag::Output, |out| {
            out.extend(output(k, len));
            Ok::<(), ()>(())
        })
        .unwrap();
    }
    ResultBatch { offset: elements.start, count: elements.end - elements.start, records: records.into() }
}

/// The same elements as one list.
fn list(elements: Range<u32>, len: usize) -> ResultBatch {
    let mut records = Vec::new();
    let count = elements.end - elements.start;
    append_list(&mut records, count, ResultTag::Output, |out| {
        out.extend(output(elements.start, len));
        Ok::<(), ()>(())
    })
    .unwrap();
    ResultBatch { offset: elements.start, count, records: records.into() }
}

#[tokio::test]
async fn what_has_room_is_passed_on_at_once() {
    let fixture = Fixture::new(Room::STREAM);
    fixture.carrier.results(1, batch(0..2, 1000));
    assert_eq!(fixture.record.batches.lock().unwrap().len(), 1);
    let reply = fixture.carry(vec![batch(2..3, 1000)]).await;
    assert_eq!((reply.results.len(), reply.stopped), (0, None));
    assert_eq!(fixture.outputs().await.len(), 3);
    assert_eq!(fixture.objects().await, 0);
}

#[tokio::test]
async fn the_rest_is_one_object_and_comes_back() {
    let fixture = Fixture::new(Room { inline: 5000, ..Room::STREAM });
    for first in (0..100).step_by(4) {
        fixture.carrier.results(1, batch(first..first + 4, 1000));
    }
    assert_eq!(fixture.record.batches.lock().unwrap().len(), 1, "the others are not stored yet");
    let reply = fixture.carry(vec![batch(100..101, 3)]).await;
    assert_eq!(reply.stopped, None);
    let outputs = fixture.outputs().await;
    let expected: Vec<_> = (0..100).map(|k| (k, output(k, 1000))).chain([(100, output(100, 3))]).collect();
    assert_eq!(outputs, expected);
    assert_eq!(fixture.objects().await, 1);
}

#[tokio::test]
async fn failures_and_short_outputs_are_not_stored() {
    let fixture = Fixture::new(Room { inline: 0, ..Room::STREAM });
    let mut records = batch(0..1, SHORT).records.to_vec();
    let failure = TaskFailure::new(FailureKind::Panic, "x".repeat(1000));
    append_result(&mut records, ResultTag::Failure, |out| codec::encode(&failure, out)).unwrap();
    let reply = fixture.carry(vec![ResultBatch { offset: 5, count: 2, records: records.into() }]).await;
    assert_eq!(reply.stopped, None);
    assert_eq!(fixture.outputs().await, [(5, output(0, SHORT)), (6, b"failure".to_vec())]);
    assert_eq!(fixture.objects().await, 0);
}

#[tokio::test]
async fn what_has_no_room_at_all_is_handed_back() {
    let fixture = Fixture::new(Room { inline: 0, most: 1000, log: 0 });
    let reply = fixture.carry(vec![batch(0..50, 500), batch(50..60, 2000)]).await;
    assert!(reply.stopped.is_some());
    let outputs = fixture.outputs().await;
    assert!((5..30).contains(&outputs.len()), "some fifty bytes for each: {}", outputs.len());
    assert!(
        outputs.iter().zip(0..).all(|((k, bytes), expected)| *k == expected && *bytes == output(*k, 500))
    );
}

#[derive(Debug)]
struct Refusing;

#[async_trait]
impl Storage for Refusing {
    fn location(&self) -> String {
        "nowhere".to_owned()
    }
    async fn put(&self, _: &Key, _: Bytes) -> StorageResult<()> {
        Err(BackendError::new(ErrorClass::Denied, "no").with_hint("ask"))
    }
    async fn put_if_absent(&self, _: &Key, _: Bytes) -> StorageResult<PutOutcome> {
        unreachable!()
    }
    async fn get(&self, _: &Key) -> StorageResult<Bytes> {
        unreachable!()
    }
    async fn get_range(&self, _: &Key, _: Range<u64>) -> StorageResult<Bytes> {
        unreachable!()
    }
    async fn head(&self, _: &Key) -> StorageResult<ObjectMeta> {
        unreachable!()
    }
    fn list(&self, _: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        unreachable!()
    }
    async fn delete(&self, _: &Key) -> StorageResult<()> {
        unreachable!()
    }
}

#[tokio::test]
async fn storage_that_fails_is_the_error() {
    let fixture = Fixture::new(Room { inline: 0, ..Room::STREAM });
    let store = Store::new(Arc::new(Refusing), Arc::new(TokioClock::new()));
    let run = async { Ok(Reply { results: vec![batch(0..1, 1000)], ..Reply::default() }) };
    let error = fixture.carrier.carry(&store, run).await.unwrap_err();
    assert_eq!((error.class(), error.hint()), (ErrorClass::Denied, Some("ask")));
    assert!(error.to_string().contains("results could not be stored: no"), "{error}");
    assert!(fixture.outputs().await.is_empty());
}

#[test]
fn output_is_cut_with_a_word_about_it() {
    let fixture = Fixture::new(Room { log: 5 + 2 * FRAME, ..Room::STREAM });
    for text in ["abc", "def", "ghi"] {
        let line = LogLine { offset: 0, count: 1, stderr: false, bytes: Bytes::from_static(text.as_bytes()) };
        fixture.carrier.log(1, line);
    }
    let logged = fixture.record.logs.lock().unwrap().clone();
    let logged = String::from_utf8(logged).unwrap();
    assert!(logged.starts_with("abcde\n[rustwren: further output") && !logged.contains("ghi"), "{logged}");
}

proptest! {
    #[test]
    fn whatever_the_room_results_are_whole_and_once(
        sizes in proptest::collection::vec((1_u32..5, 0_usize..600, proptest::bool::ANY), 0..20),
        inline in 0_usize..4000,
        most in 0_usize..8000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new(Room { inline, most, log: 0 });
            let mut first = 0;
            let mut expected = Vec::new();
            let mut batches = Vec::new();
            for (count, len, is_list) in sizes {
                let elements = first..first + count;
                first += count;
                batches.push(if is_list { list(elements.clone(), len) } else { batch(elements.clone(), len) });
                // Of a list all or none, which `outputs` sees to.
                expected.extend(elements.map(|k| {
                    let is_first = !is_list || k + count == first;
                    (k, if is_first { output(k, len) } else { Vec::new() })
                }));
            }
            let late = batches.split_off(batches.len() / 2);
            for batch in batches {
                fixture.carrier.results(1, batch);
            }
            let reply = fixture.carry(late).await;
            let reported: usize =
                fixture.record.batches.lock().unwrap().iter().map(|batch| batch.records.len()).sum();
            assert!(reported <= most);
            let outputs = fixture.outputs().await;
            assert!(outputs.iter().all(|output| expected.contains(output)));
            assert_eq!(reply.stopped.is_some(), outputs.len() < expected.len());
            assert!(fixture.objects().await <= 1);
        });
    }
}

/// An output of a pipeline's step with two items of this length: one step, which took no time, in process 0.
fn course(len: usize) -> Vec<u8> {
    let mut course = vec![1 << 1, 0, 2, 0];
    for item in [1, 2] {
        append_input(&mut course, |out| {
            out.extend(vec![item; len]);
            Ok::<(), ()>(())
        })
        .unwrap();
    }
    course
}

/// Outputs, each of so many elements.
fn courses_of(count: u32, lens: &[usize]) -> ResultBatch {
    let mut records = Vec::new();
    for len in lens {
        append_list(&mut records, count, ResultTag::Output, |out| {
            out.extend(course(*len));
            Ok::<(), ()>(())
        })
        .unwrap();
    }
    ResultBatch { offset: 0, count: count * lens.len() as u32, records: records.into() }
}

fn courses(lens: &[usize]) -> ResultBatch {
    courses_of(1, lens)
}

/// The items of outputs, wherever they are.
async fn items(fixture: &Fixture) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    for (_, output) in fixture.outputs().await {
        let (course, at) = Course::read(&output).unwrap();
        for body in input_bodies(&output[at..]) {
            let body = body.unwrap();
            items.push(match Referred::read(body) {
                Ok(Referred::Stored(Place { key, offset, len })) if course.refers => {
                    let key = Key::new(key).unwrap();
                    fixture.storage.get_range(&key, offset..offset + len).await.unwrap().to_vec()
                }
                Ok(Referred::Here(item)) if course.refers => item.to_vec(),
                _ => body.to_vec(),
            });
        }
    }
    items
}

#[tokio::test]
async fn long_items_are_stored_though_there_is_room_and_told_when_they_are() {
    let lens = [10, 1000, 20, 2000];
    let expected: Vec<_> = lens.iter().flat_map(|len| [vec![1; *len], vec![2; *len]]).collect();
    // With room, and where even what stands for them has none; of elements and of lists of three.
    for (inline, count) in [(usize::MAX, 1), (100, 1), (usize::MAX, 3), (100, 3)] {
        let fixture = Fixture::storing(Room { inline, ..Room::STREAM }, Some(500));
        fixture.carrier.results(1, courses_of(count, &lens));
        assert!(fixture.record.batches.lock().unwrap().is_empty(), "nothing is stored yet");
        fixture.carry(Vec::new()).await;
        let told: usize =
            fixture.record.batches.lock().unwrap().iter().map(|batch| batch.records.len()).sum();
        assert!(told < 1000, "{told}");
        assert_eq!((items(&fixture).await, fixture.objects().await), (expected.clone(), 1));
    }
}

#[tokio::test]
async fn what_comes_after_its_jobs_end_does_not_stay() {
    let fixture = Fixture::storing(Room::STREAM, Some(500));
    fixture.carrier.results(1, courses(&[1000, 2000]));
    fixture.carry_unwatched(Vec::new()).await;
    assert_eq!(fixture.record.batches.lock().unwrap().len(), 1, "it was stored");
    while fixture.objects().await > 0 {
        tokio::task::yield_now().await;
    }
}

/// Storage that says when a write begins and when it is over, and waits between.
#[derive(Debug)]
struct Halting {
    inner: MemoryStorage,
    says: tokio::sync::mpsc::UnboundedSender<()>,
    may: tokio::sync::Semaphore,
}

#[async_trait]
impl Storage for Halting {
    fn location(&self) -> String {
        self.inner.location()
    }
    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.says.send(()).unwrap();
        self.may.acquire().await.unwrap().forget();
        self.inner.put(key, data).await?;
        self.says.send(()).unwrap();
        Ok(())
    }
    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.inner.put_if_absent(key, data).await
    }
    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.inner.get(key).await
    }
    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.inner.get_range(key, range).await
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

#[tokio::test]
async fn what_was_cancelled_while_it_was_stored_does_not_stay() {
    let (says, mut said) = tokio::sync::mpsc::unbounded_channel();
    let storage = Halting { inner: MemoryStorage::new(), says, may: tokio::sync::Semaphore::new(0) };
    let storage = Arc::new(storage);
    let events: Arc<dyn Events> = Arc::new(Record::default());
    let carrier = Carrier::new(1, JobId::new("job").unwrap(), Room::STREAM, Some(500), &events);
    let store = Store::new(Arc::clone(&storage) as _, Arc::new(TokioClock::new()));
    carrier.results(1, courses(&[1000]));
    let carrying = tokio::spawn(async move { carrier.carry(&store, async { Ok(Reply::default()) }).await });
    said.recv().await.unwrap();
    carrying.abort();
    assert!(carrying.await.unwrap_err().is_cancelled());
    storage.may.add_permits(1);
    // It is there now, and is removed.
    said.recv().await.unwrap();
    while !storage.inner.list_all("jobs/").await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn short_items_are_passed_on_at_once() {
    let fixture = Fixture::storing(Room::STREAM, Some(500));
    fixture.carrier.results(1, courses(&[500, 0]));
    assert_eq!(fixture.record.batches.lock().unwrap().len(), 1);
    assert_eq!(items(&fixture).await.len(), 4);
    assert_eq!(fixture.objects().await, 0);
}

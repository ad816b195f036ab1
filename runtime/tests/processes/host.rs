//! A host with real function processes, which are started from an image in storage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustwren_core::error::ErrorClass;
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::invoker::{Events, Invocation, JobSpec, Stopped};
use rustwren_core::protocol::listener::Listener;
use rustwren_core::storage::{MemoryStorage, Storage, StorageExt};
use rustwren_runtime::host::{AnswerStream, Host, HostOptions, Room};
use rustwren_runtime::image_cache::ImageCache;
use rustwren_runtime::{Life, PoolOptions};
use tempfile::TempDir;

use crate::harness::{Ran, Recorder, collect, exists, invocation, job};

crate::tests![
    results_come_back_from_an_image_in_storage,
    an_image_that_is_nowhere,
    large_results_go_through_storage,
    answers_are_bytes_that_a_listener_reads,
    an_answer_that_is_dropped_ends_its_process,
    what_is_done_is_handed_back_when_the_host_winds_down,
    idle_processes_are_ended,
];

struct Fixture {
    host: Arc<Host>,
    storage: Arc<dyn Storage>,
    image: ImageId,
    _dir: TempDir,
}

async fn fixture(workers: usize) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let program = ProgramImage::of_this_program(Some(dir.path())).unwrap();
    let image = program.id();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    storage.put(&image_key(image).unwrap(), program.packed().unwrap()).await.unwrap();
    let mut pool = PoolOptions::new(image);
    pool.workers = workers;
    let images = ImageCache::new(dir.path().join("unpacked"), 1 << 30);
    let options = HostOptions { pool, images, warm_images: 1, idle: Duration::ZERO };
    Fixture { host: Arc::new(Host::new(options, Arc::clone(&storage))), storage, image, _dir: dir }
}

impl Fixture {
    fn invocation<I: AsRef<[u8]>>(&self, function: &str, inputs: &[I]) -> Invocation {
        let mut job = job(function);
        job.id = job.id.replace('_', "-");
        job.entry.image = self.image;
        invocation(&Arc::new(job), inputs)
    }

    async fn run(&self, room: Room, invocation: Invocation) -> (Ran, Arc<dyn Storage>) {
        let recorder = Arc::new(Recorder::default());
        let events: Arc<dyn Events> = recorder.clone();
        let (id, count) = (invocation.id, invocation.count);
        let reply = self.host.invoke(invocation, Life::Unlimited, room, &events).await.unwrap();
        assert!(reply.results.is_empty(), "events have them");
        (collect(id, count, reply, recorder, Some(&*self.storage)).await, Arc::clone(&self.storage))
    }
}

async fn results_come_back_from_an_image_in_storage() {
    let fixture = fixture(2).await;
    for _ in 0..3 {
        // Each with a job of its own in memory, as invocations that came as bytes have.
        let (ran, _) = fixture.run(Room::STREAM, fixture.invocation("echo", &["a", "b", "c"])).await;
        assert_eq!(ran.outputs(), [b"a", b"b", b"c"]);
    }
}

async fn an_image_that_is_nowhere() {
    let fixture = fixture(1).await;
    let mut invocation = fixture.invocation("echo", &["a"]);
    let job = JobSpec::clone(&invocation.job);
    invocation.job = Arc::new(JobSpec {
        entry: rustwren_core::entry::Entry { image: ImageId([1; 32]), ..job.entry },
        ..job
    });
    let events: Arc<dyn Events> = Arc::new(Recorder::default());
    let error = fixture.host.invoke(invocation, Life::Unlimited, Room::STREAM, &events).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(error.hint().is_some_and(|hint| hint.contains("same [storage]")), "{error}");
}

async fn large_results_go_through_storage() {
    let fixture = fixture(1).await;
    let inputs: Vec<_> = (0..10_u8).map(|k| vec![k; 10_000]).collect();
    let room = Room { inline: 25_000, ..Room::STREAM };
    let (ran, storage) = fixture.run(room, fixture.invocation("echo", &inputs)).await;
    assert_eq!(ran.outputs(), inputs);
    assert_eq!(storage.list_all("jobs/job-echo/out/").await.unwrap().len(), 1);
}

async fn answers_are_bytes_that_a_listener_reads() {
    let fixture = fixture(1).await;
    let recorder = Arc::new(Recorder::default());
    let events: Arc<dyn Events> = recorder.clone();

    let asked = fixture.invocation("echo", &["a", "b"]);
    let (id, count) = (asked.id, asked.count);
    let mut listener = Listener::new(id, &events);
    let mut stream = AnswerStream::new(&fixture.host, asked, Life::Unlimited, Room::STREAM, ());
    while let Some(bytes) = stream.next().await {
        listener.hear(&bytes).unwrap();
    }
    let reply = listener.end().unwrap();
    let ran = collect(id, count, reply, recorder.clone(), Some(&*fixture.storage)).await;
    assert_eq!(ran.outputs(), [b"a", b"b"]);

    let asked = fixture.invocation("echo", &["c"]);
    let (id, count) = (asked.id, asked.count);
    let mut listener = Listener::new(id, &events);
    listener.hear(&fixture.host.answer(asked, Life::Unlimited, Room::body(10_000)).await).unwrap();
    let ran = collect(id, count, listener.end().unwrap(), recorder, Some(&*fixture.storage)).await;
    assert_eq!(ran.outputs(), [b"c"]);
    assert_eq!(ran.recorder.started.lock().unwrap().len(), 2);
}

async fn an_answer_that_is_dropped_ends_its_process() {
    let fixture = fixture(1).await;
    let asked = fixture.invocation("tell_pid_and_loop", &[""]);
    let recorder = Arc::new(Recorder::default());
    let events: Arc<dyn Events> = recorder.clone();
    let mut listener = Listener::new(asked.id, &events);
    let mut stream = AnswerStream::new(&fixture.host, asked, Life::Unlimited, Room::STREAM, ());
    let pid = loop {
        let Some(bytes) = stream.next().await else { panic!("it ended: {:?}", listener.end()) };
        listener.hear(&bytes).unwrap();
        let log = recorder.log_of(0, false);
        if let Some((pid, _)) = log.split_once('\n') {
            break pid.parse().unwrap();
        }
    };
    assert!(exists(pid));
    drop(stream);
    while exists(pid) {
        tokio::task::yield_now().await;
    }
}

async fn what_is_done_is_handed_back_when_the_host_winds_down() {
    let fixture = fixture(1).await;
    let recorder = Arc::new(Recorder::default());
    let events: Arc<dyn Events> = recorder.clone();
    let asked = fixture.invocation("naps", &["1", "100000", "1"]);
    let (id, count) = (asked.id, asked.count);
    let run = fixture.host.invoke(asked, Life::Unlimited, Room::STREAM, &events);
    let wind_down = async {
        recorder.until(|recorder| !recorder.batches.lock().unwrap().is_empty()).await;
        fixture.host.wind_down(Instant::now() + Duration::from_millis(50));
    };
    let (reply, ()) = tokio::join!(run, wind_down);
    let reply = reply.unwrap();
    assert_eq!(reply.stopped, Some(Stopped::default()), "nobody is to blame");
    let ran = collect(id, count, reply, recorder, Some(&*fixture.storage)).await;
    assert_eq!(ran.outcomes.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    let error =
        fixture.host.invoke(fixture.invocation("echo", &["a"]), Life::Unlimited, Room::STREAM, &events);
    assert_eq!(error.await.unwrap_err().class(), ErrorClass::Transient);
}

async fn idle_processes_are_ended() {
    let fixture = fixture(1).await;
    let (ran, _) = fixture.run(Room::STREAM, fixture.invocation("pid", &[""])).await;
    let pid = String::from_utf8(ran.outputs().remove(0)).unwrap().parse().unwrap();
    assert!(exists(pid));
    fixture.host.sweep();
    while exists(pid) {
        tokio::task::yield_now().await;
    }
}

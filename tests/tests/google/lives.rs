//! Instances that come, go, die and never start, over either route.

use std::collections::BTreeSet;
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::Trial;
use rustwren::ErrorKind;
use rustwren::blocking::block_on;
use rustwren_testkit::standins::Gcs;
use rustwren_tests::google::{Plan, Route, Service};
use rustwren_tests::grouped::Place as _;

/// A test over either route, by its name.
type Test = (&'static str, fn(Route));

/// How many elements each job has.
const ELEMENTS: u64 = 400;

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let tests: [Test; 4] = [
        ("killed", killed),
        ("ended", ended),
        ("one_runtime_dies", one_runtime_dies),
        ("never_started", never_started),
    ];
    let routes = [Route::Functions, Route::Run];
    let both = routes.into_iter().flat_map(move |route| {
        tests.into_iter().map(move |(name, test)| {
            rustwren_tests::trial(format!("{route:?}::lives::{name}").to_lowercase(), move || test(route))
        })
    });
    both.chain([rustwren_tests::trial("functions::lives::nothing_is_left", nothing_is_left)])
        .chain([rustwren_tests::trial("google::switch", switch)])
}

/// Takes long enough for something to happen to it, and tells which runtime did it.
fn work(x: u64) -> (u64, u32) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(3) {}
    (x * x, parent_id())
}

/// Runs a job during which something happens each time another quarter of it is there. Every result is right, and there
/// once. Returns the runtimes that took part, by their processes.
fn job_during(service: &mut Service, mut happens: impl FnMut(&mut Service, u64)) -> BTreeSet<u32> {
    let executor = service.connect().unwrap();
    let mut runtimes = BTreeSet::new();
    let mut squares = Vec::new();
    block_on(async {
        let mut job = executor.map(work, 0..ELEMENTS).label("moving").spawn().await.unwrap();
        while let Some(result) = job.next().await {
            let (_, (square, runtime)) = result.unwrap();
            runtimes.insert(runtime);
            squares.push(square);
            let got = squares.len() as u64;
            if got.is_multiple_of(ELEMENTS / 4) && got < ELEMENTS {
                happens(service, got * 4 / ELEMENTS);
            }
        }
    });
    squares.sort_unstable();
    assert_eq!(squares, (0..ELEMENTS).map(|x| x * x).collect::<Vec<_>>(), "{}", service.log());
    runtimes
}

/// Instances die in the middle of tasks, and others come.
fn killed(route: Route) {
    let mut service = Service::start(Plan::of(route));
    let runtimes = job_during(&mut service, |service, _| {
        service.remove(0).kill();
        service.add();
    });
    assert!(runtimes.len() >= 3, "results came from {} runtimes", runtimes.len());
}

/// Instances are told to end: what is finished is handed back, and each ends by itself.
fn ended(route: Route) {
    let mut service = Service::start(Plan { instances: 3, ..Plan::of(route) });
    let mut ending = Vec::new();
    job_during(&mut service, |service, time| {
        if time <= 2 {
            let instance = service.remove(0);
            instance.end();
            ending.push(instance);
        }
    });
    for instance in ending {
        let log = instance.log();
        assert!(instance.ended().success(), "{log}");
    }
}

/// Ends the runtime that this task runs in, as memory that runs out does, where nobody has left the mark before: a
/// runtime that dies before its answer has begun looks like one that was never reached, which costs no attempt.
fn deadly((mark, x): (PathBuf, u64)) -> u64 {
    if x == 7 && std::fs::File::create_new(mark).is_ok() {
        let parent = rustix::process::getppid().unwrap();
        rustix::process::kill_process(parent, rustix::process::Signal::KILL).unwrap();
        // The end comes from there.
        loop {
            std::thread::park();
        }
    }
    x + 1
}

/// A runtime dies, and with the shim the instance lives on and starts another.
fn one_runtime_dies(route: Route) {
    let service = Service::start(Plan::of(route));
    let executor = service.connect().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let inputs = (0..20).map(move |x| (mark.clone(), x));
    let job = block_on(executor.map(deadly, inputs).chunk_size(4).spawn()).unwrap();
    let handle = job.handle();
    assert_eq!(block_on(job.results()).unwrap(), (1..21).collect::<Vec<u64>>());
    let stats = handle.stats();
    // A backup may be there first.
    assert!(stats.retries + stats.transient + stats.backups >= 1, "{stats:?}");
    if route == Route::Functions {
        let log = service.log();
        assert!(log.contains("the runtime was ended by SIGKILL"), "{log}");
        // Both work again.
        let both = block_on(executor.map(|x: u64| x, 0..20).chunk_size(1).into_future()).unwrap();
        assert_eq!(both.len(), 20);
    }
}

/// A runtime that cannot start says why, where the client reads it.
fn never_started(route: Route) {
    if route == Route::Run {
        // There Google itself does not take the service: `an instance that does not listen` fails its deployment.
        let error = std::panic::catch_unwind(|| Service::start(Plan { variables: BAD, ..Plan::of(route) }));
        assert!(error.is_err(), "a runtime with a wrong environment does not listen");
        return;
    }
    let service = Service::start(Plan { variables: BAD, ..Plan::of(route) });
    let executor = service.connect().unwrap();
    let error = block_on(executor.map(|x: u64| x, 0..4).into_future()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let text = format!("{error} {:?}", error.hint());
    assert!(text.contains("the runtime ended with exit code 1") && text.contains("compute.drain"), "{text}");
}

/// What nobody would set.
const BAD: &[(&str, &str)] = &[("RUSTWREN__COMPUTE__DRAIN", "for a while")];

/// Nothing of an instance outlives it, and each knows the state of its runtime.
fn nothing_is_left() {
    let mut service = Service::start(Plan { instances: 1, ..Plan::of(Route::Functions) });
    let executor = service.connect().unwrap();
    let runtimes: Vec<u32> = block_on(executor.map(|_: u64| parent_id(), 0..1).into_future()).unwrap();
    let runtime = rustix::process::Pid::from_raw(runtimes[0].cast_signed()).unwrap();
    let watched = rustix::process::pidfd_open(runtime, rustix::process::PidfdFlags::empty()).unwrap();
    service.remove(0).kill();
    // Readable when the process is gone; for ever silent when it stays.
    let mut polled = [rustix::event::PollFd::new(&watched, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, None).unwrap();
}

/// The examples find the same here and on Google Cloud, Cloud Storage and all, with nothing changed but the configuration.
fn switch() {
    let gcs = Gcs::start();
    let (bucket, endpoint) = (gcs.new_bucket(), gcs.endpoint());
    let variables = [
        ("RUSTWREN__STORAGE__BACKEND", "gcp"),
        ("RUSTWREN__STORAGE__BUCKET", bucket.as_str()),
        ("RUSTWREN__STORAGE__ENDPOINT", endpoint.as_str()),
    ];
    let service = Service::start(Plan { variables: &variables, ..Plan::of(Route::Functions) });
    let config = service.folder().join("rustwren.toml");
    let text = format!(
        "provider = \"gcp\"\n[storage]\nbucket = \"{bucket}\"\nendpoint = \"{endpoint}\"\n\
         [compute]\nurl = \"http://{}\"\nauth = \"none\"\nroute = \"functions\"\nworkers = 2\n",
        service.address()
    );
    std::fs::write(&config, text).unwrap();
    rustwren_tests::switch::all_examples(&config, &[]);
    assert!(gcs.served() > 0);
}

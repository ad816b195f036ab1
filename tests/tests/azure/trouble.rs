//! Trouble on Azure: each kind is a recovery or a clear error, and nothing is lost.

use std::time::Duration;

use rustwren::blocking::block_on;
use rustwren::prelude::*;
use rustwren::{Error, ErrorKind};
use rustwren_testkit::standins::functions_host::Fault;

use crate::place::{Place, Plan};

/// One after the other in one place.
pub(crate) fn all() {
    let place = Place::new(&Plan { instances: 2, ..Plan::default() });
    for (name, test) in [
        ("passing trouble", passing_trouble as fn(&Place)),
        ("a handler that is killed", a_handler_that_is_killed),
        ("a wrong key", a_wrong_key),
        ("another app", another_app),
        ("a large input and a large output", large),
        ("credentials stay with the runtime", kept_credentials),
    ] {
        eprintln!("{name}");
        test(&place);
    }
}

fn squares(executor: &Executor, count: u64) -> rustwren::Result<Vec<u64>> {
    block_on(executor.map(|x: u64| x * x, 0..count).chunk_size(5).into_future())
}

fn right(count: u64) -> Vec<u64> {
    (0..count).map(|x| x * x).collect()
}

fn passing_trouble(place: &Place) {
    for fault in [
        Fault::Status(429, None),
        Fault::Status(429, Some(1)),
        Fault::Status(500, None),
        Fault::Status(502, None),
        Fault::Status(503, None),
        Fault::Reset,
        Fault::LostAnswer,
    ] {
        place.host.fail_next(fault);
        assert_eq!(squares(&place.connect(2), 20).unwrap(), right(20), "{fault:?}");
    }
}

/// The runtime itself goes in the middle of a job, with what it holds, and the host starts another.
fn a_handler_that_is_killed(place: &Place) {
    let work = |x: u64| {
        std::thread::sleep(Duration::from_millis(5));
        x * x
    };
    let executor = place.connect(2);
    block_on(async {
        let mut job = executor.map(work, 0..200).chunk_size(10).spawn().await.unwrap();
        let mut squares = Vec::new();
        while let Some(result) = job.next().await {
            squares.push(result.unwrap().1);
            match squares.len() {
                40 => place.host.kill_handler(0),
                100 => place.host.kill_handler(1),
                _ => {}
            }
        }
        squares.sort_unstable();
        assert_eq!(squares, right(200));
        place.host.wait_until(|seen| seen.started >= 4).await;
    });
}

fn denied(error: &Error) -> bool {
    error.kind() == ErrorKind::Denied
}

fn a_wrong_key(place: &Place) {
    let key = place.config().with_file_name("other-key");
    std::fs::write(&key, "hunter2").unwrap();
    let options = place.options().set("compute.key_file", key.to_str().unwrap());
    let executor = block_on(Executor::connect_with(&options)).unwrap();
    let error = squares(&executor, 5).unwrap_err();
    assert!(denied(&error) && error.to_string().contains("401"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("keys list")), "{error}");
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
}

fn another_app(place: &Place) {
    let options = place.options().set("compute.url", format!("{}/elsewhere", place.host.url()));
    let executor = block_on(Executor::connect_with(&options)).unwrap();
    let error = squares(&executor, 5).unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("`app`")), "{error}");
}

fn large(place: &Place) {
    let grow = |bytes: Vec<u8>| -> Vec<u8> { bytes.repeat(2) };
    let executor = place.connect(2);
    let input = vec![7_u8; 9 << 20];
    let outputs = block_on(executor.map(grow, vec![input.clone(), vec![1]]).into_future()).unwrap();
    assert_eq!(outputs[0].len(), 2 * input.len());
    assert_eq!(outputs[1], [1, 1]);
}

fn kept_credentials(place: &Place) {
    let names = |_: u8| -> Vec<String> { std::env::vars().map(|(name, _)| name).collect() };
    let seen = block_on(place.connect(2).map(names, [0]).into_future()).unwrap();
    assert!(seen[0].iter().any(|name| name == "PATH"));
    assert!(!seen[0].iter().any(|name| name.starts_with("AzureWebJobs")), "{seen:?}");
}

/// Takes 150 ms.
fn slow(x: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(150));
    x * x
}

/// A chunk that takes longer than a call may last: what it has done by then is handed back, and the rest goes on in the
/// next call. Without that the platform cuts the call off.
pub(crate) fn continuation() {
    const TASKS: u64 = 24;
    let run = |settings: Vec<(&'static str, &'static str)>, timeout: &str| {
        let place = Place::new(&Plan { limit: Duration::from_secs(3), settings, ..Plan::default() });
        // The program comes to the instance with the first job, which may take longer than a call: that is not to count.
        while squares(&place.connect(1), 1).is_err() {}
        let before = place.host.seen();
        let options = place.options().set("compute.workers", 1).set("compute.timeout", timeout);
        let executor = block_on(Executor::connect_with(&options)).unwrap();
        let job = executor.map(slow, 0..TASKS).chunk_size(24).retries(0);
        let outcome = block_on(job.into_future());
        let seen = place.host.seen();
        (outcome, seen.cut_off - before.cut_off, seen.invocations - before.invocations)
    };
    let (outcome, cut_off, invocations) = run(vec![("RUSTWREN__COMPUTE__MAX_DURATION", "1s")], "1s");
    assert_eq!(outcome.unwrap(), right(TASKS));
    assert_eq!(cut_off, 0);
    assert!(invocations >= 4, "{invocations}");
    // The mechanism switched off.
    let (outcome, cut_off, _) = run(Vec::new(), "220s");
    assert!(cut_off > 0, "no call was cut off: {outcome:?}");
}

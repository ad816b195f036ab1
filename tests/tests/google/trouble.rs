//! Trouble with tokens, front ends and answers: each kind is a recovery or a clear error, and nothing is lost.

use std::sync::{Arc, Mutex};

use libtest_mimic::Trial;
use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren::prelude::*;
use rustwren::{ErrorKind, JobStats};
use rustwren_testkit::standins::{Front, Tokens, Verdict};
use rustwren_tests::google::{Plan, Route, Service};

use crate::front::{front, page};

/// A service behind a front that does what it is told.
struct World {
    service: Service,
    tokens: Arc<Tokens>,
    metadata: Front,
    front: Front,
    /// The tokens of the calls that were let in.
    used: Arc<Mutex<Vec<usize>>>,
    /// What becomes of the next calls that are let in.
    next: Arc<Mutex<Vec<Verdict>>>,
    /// What becomes of all of them, where that is said.
    all: Arc<Mutex<Option<Verdict>>>,
}

impl World {
    fn new() -> Self {
        let service = Service::start(Plan::of(Route::Run));
        let tokens = Arc::<Tokens>::default();
        let (next, all) = (Arc::<Mutex<Vec<Verdict>>>::default(), Arc::<Mutex<Option<Verdict>>>::default());
        let verdict = {
            let (next, all) = (Arc::clone(&next), Arc::clone(&all));
            move || {
                all.lock().unwrap().clone().or_else(|| next.lock().unwrap().pop()).unwrap_or(Verdict::Pass)
            }
        };
        let (front, used) = front(&service.address().to_string(), &tokens, move |_| verdict());
        Self { metadata: tokens.serve(), service, tokens, front, used, next, all }
    }

    fn options(&self) -> LoadOptions {
        self.service
            .options(&self.front.endpoint())
            .set("compute.auth", "id_token")
            .set("compute.metadata", self.metadata.endpoint())
    }

    /// A map over 40 numbers in ten calls, and what it took.
    fn doubled(&self) -> rustwren::Result<JobStats> {
        let executor = block_on(Executor::connect_with(&self.options()))?;
        let job = block_on(executor.map(|x: u64| x * 2, 0..40).chunk_size(4).spawn())?;
        let handle = job.handle();
        assert_eq!(block_on(job.results())?, (0..40).map(|x| x * 2).collect::<Vec<_>>());
        assert_eq!(handle.stats().failures, 0);
        Ok(handle.stats())
    }

    /// The error of a job of which every call meets this.
    fn failed(&self, verdict: Verdict) -> rustwren::Error {
        *self.all.lock().unwrap() = Some(verdict);
        let error = self.doubled().unwrap_err();
        *self.all.lock().unwrap() = None;
        error
    }
}

type Test = (&'static str, fn(&World));

/// One after the other in one world.
const TESTS: &[Test] = &[
    ("one token for many calls", one_token),
    ("a token that is refused is replaced", a_refused_token),
    ("tokens that cannot be had", no_token),
    ("a caller who may not", a_caller_who_may_not),
    ("no instance is available", no_instance),
    ("trouble that passes", passing_trouble),
    ("a service that is not there", no_service),
    ("payloads that are too long travel through storage", long_payloads),
    ("a call that is too long", a_call_that_is_too_long),
];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let all = rustwren_tests::trial("run::trouble", || {
        let world = World::new();
        for (name, test) in TESTS {
            eprintln!("{name}");
            test(&world);
        }
    });
    [all].into_iter()
}

fn one_token(world: &World) {
    let before = world.tokens.given();
    world.doubled().unwrap();
    assert_eq!(world.tokens.given(), before + 1);
    let used = world.used.lock().unwrap();
    assert!(used.len() >= 10 && used.iter().all(|&number| number == before + 1), "{used:?}");
}

/// As it is when it has expired by Google's clock, or a key was taken back.
fn a_refused_token(world: &World) {
    let executor = block_on(Executor::connect_with(&world.options())).unwrap();
    let run = || block_on(executor.map(|x: u64| x + 1, 0..40).chunk_size(4).into_future()).unwrap();
    let expected: Vec<u64> = (1..41).collect();
    assert_eq!(run(), expected);
    let before = world.tokens.given();
    world.tokens.revoke();
    world.used.lock().unwrap().clear();
    let job = block_on(executor.map(|x: u64| x + 1, 0..40).chunk_size(4).spawn()).unwrap();
    let handle = job.handle();
    assert_eq!(block_on(job.results()).unwrap(), expected);
    let stats = handle.stats();
    assert_eq!((stats.failures, stats.transient, stats.retries), (0, 0, 0), "{stats:?}");
    assert_eq!(world.tokens.given(), before + 1, "one is enough for all that were refused");
    assert!(world.used.lock().unwrap().iter().all(|&number| number == before + 1));
}

fn no_token(world: &World) {
    world.tokens.refuse_next(403);
    let error = world.doubled().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let text = format!("{error} {:?}", error.hint());
    assert!(text.contains("ID token") && text.contains("--impersonate-service-account"), "{text}");
    // It is not remembered.
    world.doubled().unwrap();
}

fn a_caller_who_may_not(world: &World) {
    let error = world.failed(page(403, "Forbidden"));
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("roles/run.invoker")), "{error:?}");
    assert!(!format!("{error:?}").contains("Bearer"), "{error:?}");
    world.tokens.revoke();
    let service = world.service.options(&world.front.endpoint());
    let executor = block_on(Executor::connect_with(&service)).unwrap();
    let error = block_on(executor.map(|x: u64| x, 0..4).into_future()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("audience")), "{error:?}");
}

/// It costs no attempt, and no call of any other kind.
fn no_instance(world: &World) {
    world.next.lock().unwrap().extend(vec![
        page(
            429,
            "The request was aborted because there was no available instance."
        );
        3
    ]);
    let stats = world.doubled().unwrap();
    assert_eq!((stats.throttled, stats.transient, stats.retries), (3, 0, 0), "{stats:?}");
}

fn passing_trouble(world: &World) {
    for verdict in [
        page(500, "Internal Server Error"),
        page(502, "Bad Gateway"),
        page(503, "Service Unavailable"),
        Verdict::Drop,
        Verdict::LoseAnswer,
        Verdict::CutAnswer(3),
    ] {
        let what = format!("{verdict:?}");
        world.next.lock().unwrap().push(verdict);
        let stats = world.doubled().unwrap();
        assert_eq!((stats.throttled, stats.transient), (0, 1), "{what}: {stats:?}");
    }
}

fn no_service(world: &World) {
    let error = world.failed(page(404, "Page not found"));
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("gcloud run services list")), "{error:?}");
}

/// Inputs and results beyond what one request may have.
fn long_payloads(world: &World) {
    const LONG: usize = 12 << 20;
    let inputs: Vec<String> = ["a", "b", "c"].map(|text| text.repeat(LONG)).into();
    let executor = block_on(Executor::connect_with(&world.options())).unwrap();
    let job = executor.map(|text: String| text, inputs.clone()).chunk_size(3);
    let outputs = block_on(job.into_future()).unwrap();
    assert!(outputs == inputs, "they come back as they were");
}

fn a_call_that_is_too_long(world: &World) {
    let error = world.failed(page(413, "Request Entity Too Large"));
    let text = format!("{error} {:?}", error.hint());
    assert!(text.contains("413") && text.contains("32 MiB"), "{text}");
}

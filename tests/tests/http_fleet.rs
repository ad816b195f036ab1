//! The suites over runtimes behind nginx and HAProxy, and what happens when runtimes come and go.

#![expect(clippy::unwrap_used, reason = "tests say what went wrong by failing")]

use std::collections::BTreeSet;
use std::os::unix::process::parent_id;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::Trial;
use rustwren::blocking::block_on;
use rustwren::prelude::*;
use rustwren_tests::fleet::{Fleet, Kind, Plan};
use rustwren_tests::{Backend, BoxFuture, suite};

/// Four runtimes of one worker each.
const FOUR: Plan<'_> = Plan { balancer: None, runtimes: 4, workers: 1, settings: &[] };

/// The suites expect two workers.
fn connect(kind: Kind, limit: Option<&'static str>) -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async move {
        let settings: Vec<_> = limit.map(|limit| ("compute.max_duration", limit)).into_iter().collect();
        let fleet = Fleet::start(Plan { balancer: Some(kind), settings: &settings, ..FOUR });
        let mut options = fleet.options().set("compute.workers", 2);
        if let Some(limit) = limit {
            options = options.set("compute.max_duration", limit);
        }
        rustwren_tests::keep(fleet);
        Executor::connect_with(&options).await
    })
}

const GAPS: &[(&str, &str)] = &[
    (
        "rustwren_tests::suite::handles::progress_and_numbers",
        "counts cold starts, and each of four runtimes has a function process of its own",
    ),
    (
        "rustwren_tests::suite::jobs::workers_stay_warm",
        "counts function processes, and each of four runtimes has one",
    ),
    (
        "rustwren_tests::suite::pipelines::the_report_counts",
        "counts workers, and each of four runtimes has one",
    ),
];

fn fleet(kind: Kind, runtimes: usize) -> Fleet {
    Fleet::start(Plan { balancer: Some(kind), runtimes, ..FOUR })
}

/// Takes long enough for something to happen to it.
fn work(x: u64) -> (u64, u32) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(10) {}
    (x * x, parent_id())
}

const ELEMENTS: u64 = 400;

/// Runs a job during which something happens each time another fifth of it is there. Every result is right, and there
/// once. Returns the runtimes that took part, by their processes.
fn job_during(fleet: &mut Fleet, mut happens: impl FnMut(&mut Fleet, u64)) -> BTreeSet<u32> {
    let mut runtimes = BTreeSet::new();
    block_on(async {
        let executor = fleet.options().set("compute.workers", 6);
        let executor = Executor::connect_with(&executor).await.unwrap();
        let mut job = executor.map(work, 0..ELEMENTS).label("moving").spawn().await.unwrap();
        let mut squares = Vec::new();
        while let Some(result) = job.next().await {
            let (_, (square, runtime)) = result.unwrap();
            runtimes.insert(runtime);
            squares.push(square);
            let got = squares.len() as u64;
            if got.is_multiple_of(ELEMENTS / 5) && got < ELEMENTS {
                happens(fleet, got * 5 / ELEMENTS);
            }
        }
        squares.sort_unstable();
        assert_eq!(squares, (0..ELEMENTS).map(|x| x * x).collect::<Vec<_>>(), "{}", fleet.log());
    });
    runtimes
}

/// Machines die and others are added, one after the other, until none of the first is left.
fn killed_and_added(kind: Kind) {
    let mut fleet = fleet(kind, 4);
    let runtimes = job_during(&mut fleet, |fleet, _| {
        fleet.remove(0).kill();
        fleet.add();
    });
    assert!(runtimes.len() >= 3, "results came from {} runtimes", runtimes.len());
    let last: BTreeSet<u32> =
        fleet.runtimes().iter().map(rustwren_tests::listening::Listening::pid).collect();
    assert!(!runtimes.is_disjoint(&last), "those that were added take part");
}

/// Machines die and nobody tells the balancer.
fn killed_unnoticed(kind: Kind) {
    let mut fleet = fleet(kind, 4);
    job_during(&mut fleet, |fleet, time| {
        if time <= 2 {
            fleet.remove(0).kill();
        }
    });
}

/// Machines are taken away in an orderly manner: each ends by itself, and well.
fn drained(kind: Kind) {
    let mut fleet = fleet(kind, 4);
    let mut ending = Vec::new();
    job_during(&mut fleet, |fleet, time| {
        if time <= 3 {
            let runtime = fleet.remove(0);
            runtime.end();
            ending.push(runtime);
        }
    });
    for runtime in ending {
        let log = runtime.log();
        assert!(runtime.ended().success(), "{log}");
    }
}

/// Calls are spread: with as many under way as there are workers, every runtime has some.
fn all_take_part(kind: Kind) {
    let mut fleet = fleet(kind, 4);
    assert_eq!(job_during(&mut fleet, |_, _| ()).len(), 4);
}

/// The same programs find the same here and over a fleet, with nothing changed but the configuration.
fn one_file_is_the_switch(kind: Kind) {
    rustwren_tests::switch::all_examples(fleet(kind, 2).config(), &[]);
}

/// A detached job's driver has the secret wherever the runtime has it from, where the runtime is told to pass it on; no
/// file is named alike on both sides.
fn detached_jobs(kind: Kind) {
    let settings = &[("compute.pass_env", "RUSTWREN_HTTP_SECRET")];
    let fleet = Fleet::start(Plan { balancer: Some(kind), settings, ..FOUR });
    for (_, run) in suite::detached::TESTS {
        let executor = block_on(fleet.connect()).unwrap();
        block_on(run(executor));
    }
}

/// What is tried with either balancer.
type Test = (&'static str, fn(Kind));

fn main() -> ExitCode {
    let tests: [Test; 6] = [
        ("killed_and_added", killed_and_added),
        ("killed_unnoticed", killed_unnoticed),
        ("drained", drained),
        ("all_take_part", all_take_part),
        ("one_file_is_the_switch", one_file_is_the_switch),
        ("detached_jobs", detached_jobs),
    ];
    let mut trials: Vec<Trial> = Vec::new();
    for kind in [Kind::Nginx, Kind::Haproxy] {
        for (name, test) in tests {
            trials.push(rustwren_tests::trial(format!("{}::{name}", kind.program()), move || test(kind)));
        }
    }
    let backends = [
        Backend {
            name: "nginx",
            connect: || connect(Kind::Nginx, None),
            short_lived: Some(|| connect(Kind::Nginx, Some("1s"))),
            gaps: GAPS,
        },
        Backend {
            name: "haproxy",
            connect: || connect(Kind::Haproxy, None),
            short_lived: Some(|| connect(Kind::Haproxy, Some("1s"))),
            gaps: GAPS,
        },
    ];
    rustwren_tests::main_with(&backends, trials)
}

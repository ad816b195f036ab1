//! The suites over the local backend with faults around it, which RustWren must hide: every result is right, and there
//! once.

use std::process::ExitCode;

use rustwren::Executor;
use rustwren::config::LoadOptions;
use rustwren_tests::{Backend, BoxFuture};

/// What is set for every backend here. There are more processes than workers are claimed, as clouds have more room
/// than one client uses: what runs twice takes no worker from the others.
fn options() -> LoadOptions {
    LoadOptions::of_process()
        .search(false)
        .set("provider", "chaos")
        .set("compute.wraps", "local")
        .set("compute.workers", 4u64)
        .set("compute.claims", 2)
        .set("client.progress", "never")
        .set("client.logs", "none")
}

fn compute() -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async {
        let options = options()
            .set("storage.profile", "calm")
            .set("compute.profile", "flaky")
            .set("compute.seed", 1)
            // Nothing is learnt from waiting long.
            .set("compute.straggler_delay", "10ms..300ms")
            .set("compute.duplicate_delay", "0ms..200ms")
            .set("compute.linger", "300ms")
            .set("compute.lost", "0%");
        Executor::connect_with(&options).await
    })
}

fn storage() -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async {
        let options = options()
            .set("storage.profile", "flaky")
            .set("storage.seed", 1)
            .set("storage.slow_by", "1ms..50ms")
            .set("compute.profile", "calm")
            .set("compute.image", "packed");
        Executor::connect_with(&options).await
    })
}

const COMPUTE_GAPS: &[(&str, &str)] = &[
    (
        "rustwren_tests::suite::handles::a_future_that_is_cancelled_while_it_runs",
        "two of its tasks wait for each other, and a client that was throttled may run one at a time",
    ),
    ("rustwren_tests::suite::handles::progress_and_numbers", "counts invocations and duplicates"),
    ("rustwren_tests::suite::jobs::workers_stay_warm", "counts processes and cold starts"),
    (
        "rustwren_tests::suite::jobs::a_task_knows_itself",
        "a lost worker costs a lone element an attempt that the test does not expect",
    ),
    (
        "rustwren_tests::suite::jobs::attempts_are_counted",
        "a lost worker costs a lone element an attempt that the test does not expect",
    ),
    (
        "rustwren_tests::suite::failures::a_task_that_kills_its_process_is_tried_again",
        "a lost worker costs a lone element an attempt that the test does not expect",
    ),
    (
        "rustwren_tests::suite::failures::threads_that_die_together",
        "its suspects run alone, with one attempt each, and a lost worker costs it",
    ),
    (
        "rustwren_tests::suite::pipelines::one_item_that_kills_its_process_fails_alone",
        "a lost worker costs a lone element an attempt, and the test allows no second one",
    ),
    (
        "rustwren_tests::suite::pipelines::a_step_may_be_tried_again",
        "a lost worker costs a lone element an attempt, and the test allows for one failure",
    ),
    (
        "rustwren_tests::suite::handles::dropping_a_job_cancels_it",
        "an element that waits and is run twice takes both workers, so that the other cannot begin",
    ),
    (
        "rustwren_tests::suite::handles::waiting_for_some",
        "an element that waits and is run twice takes both workers, so that the others cannot finish",
    ),
    ("rustwren_tests::suite::jobs::no_more_workers_than_asked_for", "what runs twice runs beside itself"),
    (
        "rustwren_tests::suite::mapping::threads_in_one_process",
        "its tasks wait for three others each, and what a worker hands back may leave fewer",
    ),
];

const STORAGE_GAPS: &[(&str, &str)] = &[(
    "rustwren_tests::suite::jobs::own_objects_of_tasks",
    "its tasks use storage themselves, and do not try again what failed",
)];

fn main() -> ExitCode {
    rustwren_tests::main(&[
        Backend { name: "compute", connect: compute, short_lived: None, gaps: COMPUTE_GAPS },
        Backend { name: "storage", connect: storage, short_lived: None, gaps: STORAGE_GAPS },
    ])
}

//! The suites over a function app of Azure: calls and a storage queue, in front of custom handlers. This program is the
//! custom handler, too.
//!
//! One test for each suite, with servers of its own: their start costs more than most tests.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test's way to look at its environment; tests fail by panicking"
)]

mod apart;
mod crowd;
mod place;
mod printing;
mod switch;
mod trouble;

use std::panic::AssertUnwindSafe;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use rustwren::blocking::block_on;
use rustwren_tests::{Test, suite};

use place::{CREDENTIALS, Place, Plan};

/// Tests that cannot pass here, each with the reason.
const GAPS: &[(&str, &str)] = &[
    (
        "jobs::a_task_knows_its_deadline",
        "it expects half an hour, and an invocation that was called lasts 210 s at most",
    ),
    ("jobs::workers_stay_warm", "a function process serves one job, so that jobs are kept apart"),
    ("jobs::nested_jobs", "the tasks' own storage is a folder that is the runtime's user's alone"),
    (
        "jobs::nested_jobs_share_no_worker_with_their_parents",
        "the tasks' own storage is a folder that is the runtime's user's alone",
    ),
    (
        "jobs::no_more_workers_than_asked_for",
        "tasks count each other in a folder that is the client's user's alone",
    ),
    ("jobs::own_objects_of_tasks", "the tasks' own storage is a folder that is the runtime's user's alone"),
];

fn run(tests: &[Test], place: &Place, trigger: &str) -> Result<(), Failed> {
    let mut failed = Vec::new();
    for (name, test) in tests {
        if let Some((_, reason)) = GAPS.iter().find(|(gap, _)| name.ends_with(gap)) {
            eprintln!("{name}: not run: {reason}");
            continue;
        }
        // So that a failure's message stands below its test's name.
        eprintln!("{name}");
        let executor =
            block_on(rustwren::Executor::connect_with(&place.options().set("compute.trigger", trigger)))
                .map_err(|error| Failed::from(format!("{name}: {error}")))?;
        if std::panic::catch_unwind(AssertUnwindSafe(|| block_on(test(executor)))).is_err() {
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("{failed:#?} failed, see above").into()) }
}

fn suite(tests: &'static [Test], plan: Plan) -> impl FnOnce() -> Result<(), Failed> {
    move || {
        let trigger = if plan.queue { "queue" } else { "http" };
        run(tests, &Place::new(&plan), trigger)
    }
}

fn main() -> ExitCode {
    rustwren::init();
    if std::env::var_os("FUNCTIONS_CUSTOMHANDLER_PORT").is_some() {
        return rustwren_worker::main();
    }
    let has_credentials = std::env::var_os(CREDENTIALS[0].0).is_some_and(|name| name == CREDENTIALS[0].1);
    if !has_credentials {
        let again = std::env::current_exe().and_then(|program| {
            Command::new(program).args(std::env::args_os().skip(1)).envs(CREDENTIALS).status()
        });
        return match again {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    let calls = Plan { instances: 4, ..Plan::default() };
    let queue = Plan { instances: 4, queue: true, ..Plan::default() };
    let trials = vec![
        Trial::test("azure::jobs by calls", suite(suite::jobs::TESTS, calls.clone())),
        Trial::test("azure::failures by calls", suite(suite::failures::TESTS, calls)),
        Trial::test("azure::jobs by the queue", suite(suite::jobs::TESTS, queue)),
        rustwren_tests::trial("azure::an example switches by its configuration alone", switch::switch),
        rustwren_tests::trial("azure::trouble", trouble::all),
        rustwren_tests::trial("azure::a chunk goes on beyond the limit of a call", trouble::continuation),
        rustwren_tests::trial("azure::200 calls at one instance at once", crowd::burst),
        rustwren_tests::trial("azure::512 tasks at once in one runtime", crowd::many_at_once),
        rustwren_tests::trial("azure::what tasks print is printed by the runtime", printing::lines_of_tasks),
        rustwren_tests::trial("azure::jobs that share an instance are kept apart", apart::apart),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

//! The suites over AWS: S3 on moto, and Lambda's Invoke API in front of environments of the official emulator. This
//! program is the runtime in them, too.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking, which clippy cannot see without libtest; a task looks at its environment"
)]

mod place;
mod switch;
mod trouble;

use std::process::ExitCode;

use rustwren_testkit::standins::Moto;
use rustwren_tests::{Gap, Test, grouped, suite};

use place::Deployment;

/// A suite with where it runs.
type Suite = (&'static str, &'static [Test], fn() -> Deployment);

/// In a second, as deadlines are tested elsewhere, Lambda's environments would hardly have started.
const SUITES: &[Suite] = &[
    ("mapping", suite::mapping::TESTS, || Deployment::new(20)),
    ("handles", suite::handles::TESTS, || Deployment::new(20)),
    ("jobs", suite::jobs::TESTS, || Deployment::new(20)),
    ("failures", suite::failures::TESTS, || Deployment::new(20)),
    ("pipelines", suite::pipelines::TESTS, || Deployment::new(20)),
    ("passing", suite::passing::TESTS, || Deployment::new(20)),
    ("detached", suite::detached::TESTS, || Deployment::new(20)),
    ("budgets", suite::budgets::TESTS, || Deployment::new(20)),
    ("deadlines", suite::deadlines::TESTS, || Deployment::short_lived(4)),
];

const GAPS: &[Gap] = &[
    (
        "rustwren_tests::suite::jobs::a_task_knows_its_deadline",
        "it expects half an hour, and an invocation lasts 20 s here: nobody can cancel those that have no end",
    ),
    (
        "rustwren_tests::suite::deadlines::a_result_does_not_wait_for_the_end",
        "Lambda tells nothing of an invocation before its end",
    ),
    (
        "rustwren_tests::suite::passing::a_failure_in_the_middle_leaves_nothing",
        "nobody can cancel an invocation that runs when its job ends: what it stores then is for `jobs clean`",
    ),
    (
        "rustwren_tests::suite::passing::a_dropped_stream_leaves_nothing",
        "nobody can cancel an invocation that runs when its job ends: what it stores then is for `jobs clean`",
    ),
];

fn main() -> ExitCode {
    // Configurations have no place for secrets. The runtime in an environment has its own.
    if let Some(code) = grouped::again_with(&Moto::CREDENTIALS) {
        return code;
    }
    let suites =
        SUITES.iter().map(|&(name, tests, start)| grouped::suite(format!("aws::{name}"), tests, GAPS, start));
    rustwren_tests::main_with(&[], suites.chain(trouble::trials()).chain([switch::trial()]).collect())
}

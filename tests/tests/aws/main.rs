//! The suites over AWS: S3 on moto, and Lambda's Invoke API in front of environments of the official emulator. This
//! program is the runtime in them, too.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking, which clippy cannot see without libtest"
)]

mod place;
mod switch;
mod trouble;

use std::process::ExitCode;

use rustwren_testkit::standins::Moto;
use rustwren_tests::{Gap, Test, grouped, suite};

use place::Deployment;

/// The suites, each with the limit of its invocations in seconds.
const SUITES: &[(&str, &[Test], u64)] = &[
    ("mapping", suite::mapping::TESTS, 20),
    ("handles", suite::handles::TESTS, 20),
    ("jobs", suite::jobs::TESTS, 20),
    ("failures", suite::failures::TESTS, 20),
    ("pipelines", suite::pipelines::TESTS, 20),
    ("passing", suite::passing::TESTS, 20),
    ("deadlines", suite::deadlines::TESTS, 1),
];

const GAPS: &[Gap] = &[(
    "rustwren_tests::suite::jobs::a_task_knows_its_deadline",
    "it expects half an hour, and an invocation lasts 20 s here: nobody can cancel those that have no end",
)];

fn main() -> ExitCode {
    // Configurations have no place for secrets. The runtime in an environment has its own.
    if let Some(code) = grouped::again_with(&Moto::CREDENTIALS) {
        return code;
    }
    let suites = SUITES.iter().map(|&(name, tests, seconds)| {
        grouped::suite(format!("aws::{name}"), tests, GAPS, move || Deployment::new(seconds))
    });
    rustwren_tests::main_with(&[], suites.chain(trouble::trials()).chain([switch::trial()]).collect())
}

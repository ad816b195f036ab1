//! The suites over Google: through real instances of Google's functions framework with the shim, and through the runtime
//! alone, as Cloud Run starts it. This program is the runtime in both.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, which clippy cannot see without libtest")]

mod front;
mod lives;
mod trouble;

use std::process::ExitCode;

use rustwren_tests::google::{Plan, Route, Service};
use rustwren_tests::{Gap, Test, grouped, suite};

/// The suites over each route, with the limit of their invocations.
const SUITES: &[(Route, &str, &[Test], &str)] = &[
    (Route::Functions, "mapping", suite::mapping::TESTS, "1h"),
    (Route::Functions, "handles", suite::handles::TESTS, "1h"),
    (Route::Functions, "jobs", suite::jobs::TESTS, "1h"),
    (Route::Functions, "failures", suite::failures::TESTS, "1h"),
    (Route::Functions, "pipelines", suite::pipelines::TESTS, "1h"),
    (Route::Functions, "passing", suite::passing::TESTS, "1h"),
    (Route::Functions, "deadlines", suite::deadlines::TESTS, "1s"),
    (Route::Run, "mapping", suite::mapping::TESTS, "1h"),
    (Route::Run, "handles", suite::handles::TESTS, "1h"),
    (Route::Run, "jobs", suite::jobs::TESTS, "1h"),
    (Route::Run, "failures", suite::failures::TESTS, "1h"),
    (Route::Run, "pipelines", suite::pipelines::TESTS, "1h"),
    (Route::Run, "passing", suite::passing::TESTS, "1h"),
    (Route::Run, "deadlines", suite::deadlines::TESTS, "1s"),
];

/// Tests that cannot pass here, each with the reason.
const GAPS: &[Gap] = &[(
    "rustwren_tests::suite::jobs::a_task_knows_its_deadline",
    "it expects that there is none where a job sets none, and Google limits every request",
)];

fn main() -> ExitCode {
    let suites = SUITES.iter().map(|&(route, name, tests, timeout)| {
        let limit = ("RUSTWREN__COMPUTE__MAX_DURATION", timeout);
        grouped::suite(format!("{route:?}::{name}").to_lowercase(), tests, GAPS, move || {
            Service::start(Plan { timeout, variables: &[limit], ..Plan::of(route) })
        })
    });
    rustwren_tests::main_with(&[], suites.chain(trouble::trials()).chain(lives::trials()).collect())
}

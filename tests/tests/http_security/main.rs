//! What strangers can do to a runtime: nothing, at little cost, while good calls go on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what went wrong by failing")]

use std::process::ExitCode;

use rustwren::blocking::block_on;
use rustwren_tests::fleet::{Fleet, Plan};

mod call;
mod floods;
mod signatures;

type Test = (&'static str, fn(&Fleet));

/// A list of tests from functions of a fleet.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use tests;

/// Bounds that tests can reach within seconds; the program of these tests fits within the first.
const PLAN: Plan<'_> = Plan {
    balancer: None,
    runtimes: 1,
    workers: 2,
    settings: &[("compute.max_body", "64MiB"), ("compute.header_timeout", "2s")],
};

/// A job runs through as if nothing had happened.
fn good_calls_go_on(fleet: &Fleet) {
    let squares = block_on(async {
        let executor = fleet.connect().await?;
        executor.map(|x: u64| x * x, 0..50).await
    });
    let squares = squares.unwrap_or_else(|error| panic!("{error}\n{}", fleet.log()));
    assert_eq!(squares, (0..50).map(|x| x * x).collect::<Vec<u64>>());
}

fn main() -> ExitCode {
    let trials = [signatures::TESTS, floods::TESTS]
        .concat()
        .into_iter()
        .map(|(name, run)| rustwren_tests::trial(name, move || run(&Fleet::start(PLAN))));
    rustwren_tests::main_with(&[], trials.collect())
}

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

/// Bounds that tests can reach within seconds.
const PLAN: Plan<'_> = Plan {
    balancer: None,
    runtimes: 1,
    workers: 2,
    settings: &[("compute.max_body", "16MiB"), ("compute.header_timeout", "2s")],
};

/// A job runs through as if nothing had happened.
fn good_calls_go_on(fleet: &Fleet) {
    for n in 0..5 {
    let target = format!("/v1/objects?key=good{n}");
    let s = |method| call::Signature { secret: &fleet.secret(), time: call::now(), method, target: &target, body: if method == "PUT" { b"hello" } else { b"" } }.header();
    let put = call::call(fleet.address(), "PUT", &target, Some(&s("PUT")), b"hello");
    assert_eq!(put.status, 201, "{put:?} {}", fleet.log());
    let get = call::call(fleet.address(), "GET", &target, Some(&s("GET")), b"");
    assert_eq!((get.status, &get.body[..]), (200, &b"hello"[..]), "{get:?}");
    }
}

fn main() -> ExitCode {
    let trials = [signatures::TESTS, floods::TESTS]
        .concat()
        .into_iter()
        .map(|(name, run)| rustwren_tests::trial(name, move || run(&Fleet::start(PLAN))));
    rustwren_tests::main_with(&[], trials.collect())
}

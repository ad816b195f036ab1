//! Durable jobs whose clients die, under a simulated provider and a simulated storage.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::ops::Range;

use rustwren_testkit::sim;

/// The seeds to run: one, if `RUSTWREN_SIM_SEED` names it, to look into a failure.
fn seeds() -> Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "read by this test alone, no part of the product")]
    match std::env::var_os("RUSTWREN_SIM_SEED") {
        None => 0..150,
        Some(seed) => {
            let seed =
                seed.to_str().and_then(|seed| seed.parse().ok()).expect("RUSTWREN_SIM_SEED is a number");
            seed..seed + 1
        }
    }
}

#[test]
fn many_seeds() {
    for seed in seeds() {
        if let Err(failure) = sim::run_mortal(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let runs = [sim::run_mortal(seed), sim::run_mortal(seed)]
            .map(|run| run.unwrap_or_else(|failure| panic!("{failure}")));
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}

//! Whole jobs through the scheduler, under a simulated provider.

use std::ops::Range;

use rustwren_testkit::sim;

/// The seeds to run: one, if `RUSTWREN_SIM_SEED` names it, to look into a failure.
fn seeds() -> Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "read by this test alone, no part of the product")]
    match std::env::var_os("RUSTWREN_SIM_SEED") {
        None => 0..1000,
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
        if let Err(failure) = sim::run(seed) {
            panic!("{failure}");
        }
    }
}

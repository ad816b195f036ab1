//! Work of a known length that only the processor does.

use std::hint::black_box;

use crate::report::{median, time};

/// Mixes numbers so many times. The same machine code for everybody who calls it.
#[inline(never)]
pub(crate) fn spin(rounds: u64) -> u64 {
    let mut x = rounds | 1;
    for i in 0..rounds {
        x = black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ i);
    }
    x
}

/// How many rounds a millisecond has on an undisturbed core.
pub(crate) fn rounds_per_ms() -> u64 {
    const ROUNDS: u64 = 1_000_000;
    let mut times: Vec<f64> = (0..31).map(|_| time(|| black_box(spin(ROUNDS))).1).collect();
    times.sort_by(f64::total_cmp);
    // Others may have had the core for a part of the slower half.
    let undisturbed = median(times[..8].to_vec());
    (ROUNDS as f64 / (undisturbed * 1e3)) as u64
}

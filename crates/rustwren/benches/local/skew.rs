//! Tasks of very different lengths: how well they are shared out.

use std::time::Instant;

use rayon::prelude::*;
use rustwren::blocking::Wait as _;

use crate::report::{Table, median, seconds, time};
use crate::spin::{rounds_per_ms, spin};
use crate::{Outcome, Setting, warm};

const ALPHA: f64 = 1.5;

/// Spins and says how long that took, in seconds: with it the bound is made of what the tasks really took.
fn timed(rounds: u64) -> f64 {
    let begun = Instant::now();
    std::hint::black_box(spin(rounds));
    begun.elapsed().as_secs_f64()
}

fn bound(times: &[f64], slots: usize) -> f64 {
    let longest = times.iter().copied().fold(0.0, f64::max);
    longest.max(times.iter().sum::<f64>() / slots as f64)
}

pub(crate) fn run(setting: &Setting) -> Outcome {
    let executor = warm(setting)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(setting.cores).build()?;
    let per_ms = rounds_per_ms();
    let what = format!(
        "Pareto({ALPHA}) tasks over {} processes; bound: max(longest, sum / slots) of the times the tasks took",
        setting.cores
    );
    let head = ["shortest", "tasks", "makespan", "of the bound", "worst seed", "rayon, same"];
    let table = Table::new("skew", &what, &head);
    let seeds = if setting.quick { 3 } else { 11 };
    for (shortest, tasks) in [(0.02, 20_000), (1.0, 500)] {
        let tasks = if setting.quick { tasks / 4 } else { tasks };
        let (mut makespans, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for seed in 0..seeds {
            let mut rng = fastrand::Rng::with_seed(seed);
            // By inversion: the chance to last longer than t is (shortest / t)^alpha.
            let millis = |rng: &mut fastrand::Rng| shortest / (1.0 - rng.f64()).powf(1.0 / ALPHA);
            let inputs: Vec<u64> = (0..tasks).map(|_| (millis(&mut rng) * per_ms as f64) as u64).collect();
            let (outcome, took) = time(|| executor.map(timed, inputs.clone()).wait());
            makespans.push(took);
            ours.push(took / bound(&outcome?, setting.cores));
            let work = || inputs.par_iter().map(|&rounds| timed(rounds)).collect::<Vec<_>>();
            let (times, took) = time(|| threads.install(work));
            theirs.push(took / bound(&times, setting.cores));
        }
        let worst = ours.iter().copied().fold(0.0, f64::max);
        table.row(&[
            format!("{shortest} ms"),
            tasks.to_string(),
            seconds(median(makespans)),
            format!("{:.3}", median(ours)),
            format!("{worst:.3}"),
            format!("{:.3}", median(theirs)),
        ]);
    }
    Ok(())
}

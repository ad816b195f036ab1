//! Tasks of one and ten milliseconds, against threads of one process.

use std::hint::black_box;

use rayon::prelude::*;
use rustwren::blocking::block_on;

use crate::report::{Table, family_cpu, median, seconds, time};
use crate::spin::{rounds_per_ms, spin};
use crate::{Outcome, Setting, warm};

pub(crate) fn run(setting: &Setting) -> Outcome {
    let executor = warm(setting)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(setting.cores).build()?;
    let per_ms = rounds_per_ms();
    let what =
        format!("busy tasks, makespan over {0} processes against rayon with {0} threads", setting.cores);
    let head = ["task", "tasks", "rustwren", "rayon", "ratio", "ratios", "CPU ratio", "invocations"];
    let table = Table::new("tasks", &what, &head);
    let pairs = if setting.quick { 3 } else { 11 };
    let scale = if setting.quick { 4 } else { 1 };
    for (millis, tasks) in [(1, 2000), (10, 200)] {
        let inputs = vec![per_ms * millis; tasks / scale];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // What others do on the machine lengthens makespans; processor time tells what was used all the same.
        let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
        let mut invocations = 0;
        for pair in 0..pairs {
            let ours_first = pair % 2 == 0;
            for turn in [ours_first, !ours_first] {
                let before = family_cpu()?;
                if turn {
                    let (outcome, took) = time(|| {
                        let job = executor.map(spin, inputs.clone()).spawn();
                        let job = block_on(job)?;
                        let handle = job.handle();
                        block_on(job.results()).map(|_| handle.stats().invocations)
                    });
                    invocations = outcome?;
                    ours.push(took);
                    our_cpu.push(family_cpu()? - before);
                } else {
                    let work =
                        || inputs.par_iter().map(|&rounds| black_box(spin(rounds))).collect::<Vec<_>>();
                    theirs.push(time(|| threads.install(work)).1);
                    their_cpu.push(family_cpu()? - before);
                }
            }
        }
        let mut ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        let ratio = median(ratios.clone());
        ratios.sort_by(f64::total_cmp);
        let range = format!("{:.3}..{:.3}", ratios[0], ratios[ratios.len() - 1]);
        table.row(&[
            format!("{millis} ms"),
            inputs.len().to_string(),
            seconds(median(ours)),
            seconds(median(theirs)),
            format!("{ratio:.3}"),
            range,
            format!("{:.3}", median(our_cpu) / median(their_cpu)),
            invocations.to_string(),
        ]);
    }
    Ok(())
}

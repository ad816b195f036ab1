//! The tables of `docs/reliability.md`: makespans on a simulated provider with a ramp.

use std::time::{Duration, Instant};

use rustwren_core::scheduler::Backups;
use rustwren_testkit::sim::{Contest, Failure, Performance};

/// Who has the same tasks as the scheduler.
type Policy = (&'static str, fn(&Contest) -> Performance);

const OTHERS: &[Policy] = &[
    ("ideal with the faults", Contest::ideal_with_faults),
    ("PyWren's policy", Contest::pywren),
    ("Lithops' policy, pool of 1 000", |contest| contest.lithops(1000, 1)),
    ("Lithops' policy, pool of 10 000", |contest| contest.lithops(10_000, 1)),
    ("Lithops' policy, pool of 10 000, 10 tasks a call", |contest| contest.lithops(10_000, 10)),
];

/// The performances of one policy on some seeds, beside the ideal ones.
#[derive(Default)]
struct Row {
    seeds: u32,
    sum: Performance,
    /// Makespan over ideal.
    ratios: Vec<f64>,
}

impl Row {
    fn add(&mut self, performance: &Performance, ideal: Duration) {
        self.seeds += 1;
        self.sum.makespan += performance.makespan;
        self.sum.missing += performance.missing;
        self.sum.calls += performance.calls;
        self.sum.refused += performance.refused;
        self.sum.backups += performance.backups;
        self.sum.worked += performance.worked;
        self.ratios.push(performance.makespan.as_secs_f64() / ideal.as_secs_f64());
    }

    fn makespan(&self) -> f64 {
        self.sum.makespan.as_secs_f64() / f64::from(self.seeds)
    }

    /// Hours of workers.
    fn worked(&self) -> f64 {
        self.sum.worked.as_secs_f64() / 3600.0 / f64::from(self.seeds)
    }

    fn each(&self, sum: u64) -> u64 {
        sum / u64::from(self.seeds)
    }

    fn ratio(&self) -> f64 {
        self.ratios.iter().sum::<f64>() / self.ratios.len() as f64
    }

    fn worst(&self) -> f64 {
        self.ratios.iter().copied().fold(0.0, f64::max)
    }
}

/// Prints both tables, for jobs of up to `tasks` tasks, with `seeds` seeds each and fewer for the largest.
pub(crate) fn tables(tasks: u64, seeds: u64) -> Result<(), Box<Failure>> {
    let sizes = [10_000, 100_000, 1_000_000].into_iter().filter(|size| *size <= tasks.max(10_000));
    println!("| tasks | policy | makespan | to the ideal (worst) | without a result | calls | refused |");
    println!("|---|---|---|---|---|---|---|");
    for size in sizes {
        let seeds = if size > 100_000 { seeds.div_ceil(5) } else { seeds };
        makespans(size, seeds)?;
    }
    println!("\n| times belong to | backups | makespan | worker hours | backup tasks |");
    println!("|---|---|---|---|---|");
    for (what, slow_workers) in [("the worker", true), ("the task", false)] {
        for (name, backups) in [("off", Backups::Off), ("on", Backups::ON)] {
            let mut row = Row::default();
            for seed in 0..seeds {
                let contest = Contest { slow_workers, ..Contest::lambda(seed, 100_000.min(tasks)) };
                row.add(&contest.scheduler(backups)?, contest.ideal());
            }
            let (makespan, worked, backups) = (row.makespan(), row.worked(), row.each(row.sum.backups));
            println!("| {what} | {name} | {makespan:.1} s | {worked:.1} | {backups} |");
        }
    }
    Ok(())
}

fn makespans(size: u64, seeds: u64) -> Result<(), Box<Failure>> {
    let mut others: Vec<Row> = OTHERS.iter().map(|_| Row::default()).collect();
    let (mut bound, mut ideal, mut ours) = (Row::default(), Row::default(), Row::default());
    let began = Instant::now();
    for seed in 0..seeds {
        let contest = Contest::lambda(seed, size);
        let best = contest.ideal();
        let plain = |makespan| Performance { makespan, ..Performance::default() };
        bound.add(&plain(contest.bound()), best);
        ideal.add(&plain(best), best);
        ours.add(&contest.scheduler(Backups::Auto)?, best);
        eprintln!("{size} tasks, seed {seed}: {:.1?}", began.elapsed());
        for ((_, policy), row) in OTHERS.iter().zip(&mut others) {
            row.add(&policy(&contest), best);
        }
    }
    for (name, row) in [("nobody is faster", &bound), ("ideal", &ideal)] {
        println!("| {size} | {name} | {:.1} s | {:.2} | | | |", row.makespan(), row.ratio());
    }
    let rows = OTHERS.iter().map(|(name, _)| *name).zip(&others);
    for (name, row) in std::iter::once(("RustWren", &ours)).chain(rows) {
        let Performance { missing, calls, refused, .. } = row.sum;
        let [missing, calls, refused] = [missing, calls, refused].map(|sum| row.each(sum));
        println!(
            "| {size} | {name} | {:.1} s | {:.2} ({:.2}) | {missing} | {calls} | {refused} |",
            row.makespan(),
            row.ratio(),
            row.worst(),
        );
    }
    Ok(())
}

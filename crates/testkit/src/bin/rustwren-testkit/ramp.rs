//! The tables of `docs/reliability.md`: makespans on a simulated provider with a ramp.

use std::time::{Duration, Instant};

use rustwren_core::scheduler::Backups;
use rustwren_testkit::sim::{Contest, Failure, Performance};

/// Who has the same tasks as the scheduler.
type Policy = (&'static str, fn(&Contest) -> Performance);

const OTHERS: &[Policy] = &[
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
    /// Makespan over the ideal.
    ratios: Vec<f64>,
    /// Makespan over the ideal with faults.
    with_faults: Vec<f64>,
}

/// The best that could be on one seed.
struct Best {
    ideal: Duration,
    with_faults: Duration,
}

impl Best {
    fn of(contest: &Contest) -> Self {
        Self { ideal: contest.ideal(), with_faults: contest.ideal_with_faults().makespan }
    }
}

impl Row {
    fn add(&mut self, performance: &Performance, best: &Best) {
        self.seeds += 1;
        self.sum.makespan += performance.makespan;
        self.sum.missing += performance.missing;
        self.sum.calls += performance.calls;
        self.sum.refused += performance.refused;
        self.sum.backups += performance.backups;
        self.sum.worked += performance.worked;
        let makespan = performance.makespan.as_secs_f64();
        self.ratios.push(makespan / best.ideal.as_secs_f64());
        self.with_faults.push(makespan / best.with_faults.as_secs_f64());
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
}

/// The mean, and the worst in brackets where there are several.
fn ratio(ratios: &[f64]) -> String {
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    if ratios.len() > 1 { format!("{mean:.2} ({worst:.2})") } else { format!("{mean:.2}") }
}

/// Prints both tables, for jobs of up to `tasks` tasks, with `seeds` seeds each and fewer for the largest.
pub(crate) fn tables(tasks: u64, seeds: u64) -> Result<(), Box<Failure>> {
    let sizes = [10_000, 100_000, 1_000_000].into_iter().filter(|size| *size <= tasks.max(10_000));
    println!(
        "| tasks | policy | makespan | to the ideal | to the ideal with faults | without a result | calls | refused |"
    );
    println!("|---|---|---|---|---|---|---|---|");
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
                row.add(&contest.scheduler(backups)?, &Best::of(&contest));
            }
            let (makespan, worked, backups) = (row.makespan(), row.worked(), row.each(row.sum.backups));
            println!("| {what} | {name} | {makespan:.1} s | {worked:.1} | {backups} |");
        }
    }
    Ok(())
}

fn makespans(size: u64, seeds: u64) -> Result<(), Box<Failure>> {
    let mut rows: Vec<(&str, Row)> = ["nobody is faster", "ideal", "ideal with faults", "**RustWren**"]
        .into_iter()
        .chain(OTHERS.iter().map(|(name, _)| *name))
        .map(|name| (name, Row::default()))
        .collect();
    let began = Instant::now();
    for seed in 0..seeds {
        let contest = Contest::lambda(seed, size);
        let best = Best::of(&contest);
        let plain = |makespan| Performance { makespan, calls: size, ..Performance::default() };
        let ours = contest.scheduler(Backups::Auto)?;
        eprintln!("{size} tasks, seed {seed}: {:.1?}", began.elapsed());
        let ideals = [plain(contest.bound()), plain(best.ideal), contest.ideal_with_faults(), ours];
        let others = OTHERS.iter().map(|(_, policy)| policy(&contest));
        for ((_, row), performance) in rows.iter_mut().zip(ideals.into_iter().chain(others)) {
            row.add(&performance, &best);
        }
    }
    for (name, row) in &rows {
        let Performance { missing, calls, refused, .. } = row.sum;
        let [missing, calls, refused] = [missing, calls, refused].map(|sum| row.each(sum));
        let (ideal, with_faults) = (ratio(&row.ratios), ratio(&row.with_faults));
        println!(
            "| {size} | {name} | {:.1} s | {ideal} | {with_faults} | {missing} | {calls} | {refused} |",
            row.makespan(),
        );
    }
    Ok(())
}

//! Numbers for people.

use std::time::{Duration, Instant};

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

/// Where the median lies with 95 % confidence: between these percentiles of the medians of 10 000 samples that are drawn
/// from the values with replacement.
pub(crate) fn interval(values: &[f64]) -> (f64, f64) {
    const SAMPLES: usize = 10_000;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut draw = || median((0..values.len()).map(|_| values[rng.usize(..values.len())]).collect());
    let mut medians: Vec<f64> = (0..SAMPLES).map(|_| draw()).collect();
    medians.sort_by(f64::total_cmp);
    (medians[SAMPLES / 40], medians[SAMPLES - SAMPLES / 40])
}

/// How long it took, in seconds.
pub(crate) fn time<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let value = run();
    (value, begun.elapsed().as_secs_f64())
}

/// A table's rows are printed as they come, under a head.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn new(section: &str, what: &str, head: &[&str]) -> Self {
        println!("\n{section}: {what}");
        let table = Self { widths: head.iter().map(|title| title.len().max(14)).collect() };
        table.row(&head.iter().map(ToString::to_string).collect::<Vec<_>>());
        table
    }

    pub(crate) fn row(&self, cells: &[String]) {
        let line: Vec<String> =
            cells.iter().zip(&self.widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
        println!("{}", line.join("  "));
    }
}

/// With `_` between thousands.
pub(crate) fn count(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

/// A time in a unit that suits it.
pub(crate) fn seconds(s: f64) -> String {
    format!("{:.3?}", Duration::from_secs_f64(s.max(0.0)))
}

/// CPU time that this process has had, user and system, without its children's.
pub(crate) fn cpu() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// The most memory that this process has held, in bytes.
pub(crate) fn peak_memory() -> std::io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.map(|kb| kb * 1024.0).ok_or_else(|| std::io::Error::other("/proc/self/status has no VmHWM"))
}

/// CPU time that this process and its children have had, living ones and those that have ended, in seconds: what a job cost, whoever else uses the
/// machine at the same time.
pub(crate) fn family_cpu() -> std::io::Result<f64> {
    let mut nanos = 0_u64;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let children = std::fs::read_to_string(thread?.path().join("children"))?;
        for child in children.split_whitespace() {
            for thread in std::fs::read_dir(format!("/proc/{child}/task"))? {
                let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
                nanos += times.split_whitespace().next().and_then(|run| run.parse::<u64>().ok()).unwrap_or(0);
            }
        }
    }
    Ok(cpu() + nanos as f64 * 1e-9 + ended_children()?)
}

/// CPU time that children have had which have ended and were waited for, in seconds, to a hundredth.
fn ended_children() -> std::io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may have blanks in it: fields 16 and 17 of proc(5).
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse().unwrap_or(0.0));
    Ok(ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64)
}

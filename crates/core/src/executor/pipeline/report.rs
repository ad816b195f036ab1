//! What a pipeline's run took, and what it would have taken one item after the other.

use std::fmt;
use std::time::Duration;

/// Where a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// On workers.
    Parallel,
    /// In the program that runs the pipeline.
    Sequential,
}

/// How one step went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepReport {
    /// Its name.
    pub label: String,
    /// Where it ran.
    pub kind: StepKind,
    /// From its beginning to its last item. Steps that stream into each other overlap.
    pub elapsed: Duration,
    /// The time of all its calls, added up.
    pub busy: Duration,
    /// How many function processes took part; 0 for sequential steps.
    pub workers: usize,
    /// Items that came in.
    pub inputs: u64,
    /// Items that came out.
    pub outputs: u64,
    /// Items that failed. Of steps that ran together, the first has them; the error names the step.
    pub failed: u64,
}

/// What the run would take one item after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SerialBaseline {
    /// The times of all calls on the workers, added up. It contains what workers that share a machine cost each other.
    TaskTime {
        /// The sum.
        total: Duration,
    },
    /// All items ran one after the other, in this process.
    Measured {
        /// What that took.
        total: Duration,
    },
    /// Some items did; the rest is an estimate from them.
    Estimated {
        /// The estimate.
        total: Duration,
        /// Half the width of its 95 % confidence interval.
        margin: Duration,
        /// How many items ran.
        samples: u64,
    },
}

impl SerialBaseline {
    /// The time that it comes to.
    pub fn total(&self) -> Duration {
        match self {
            Self::TaskTime { total } | Self::Measured { total } | Self::Estimated { total, .. } => *total,
        }
    }
}

/// How a pipeline's run went. Its `Display` is a table for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineReport {
    /// Items that went in.
    pub items: u64,
    /// Items that came out.
    pub outputs: u64,
    /// From the call of `run` to the last item.
    pub elapsed: Duration,
    /// What it would take one item after the other.
    pub serial: SerialBaseline,
    /// Each step.
    pub steps: Vec<StepReport>,
}

impl PipelineReport {
    /// How many times faster the run was than one item after the other.
    pub fn speedup(&self) -> f64 {
        self.serial.total().as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for PipelineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: u64 = self.steps.iter().map(|step| step.failed).sum();
        writeln!(f, "{:<20}{}", "items in", grouped(self.items))?;
        writeln!(f, "{:<20}{}", "items out", grouped(self.outputs))?;
        if failed > 0 {
            writeln!(f, "{:<20}{}", "items failed", grouped(failed))?;
        }
        write!(f, "{:<20}{}", "serial baseline", seconds(self.serial.total()))?;
        match &self.serial {
            SerialBaseline::TaskTime { .. } => writeln!(f, " (sum of the times measured on the workers)")?,
            SerialBaseline::Measured { .. } => writeln!(f, " (measured: every item, one by one)")?,
            SerialBaseline::Estimated { margin, samples, .. } => writeln!(
                f,
                " ± {} (estimate with its 95 % interval, from {} items measured one by one)",
                seconds(*margin),
                grouped(*samples)
            )?,
        }
        writeln!(f, "{:<20}{}", "parallel run", seconds(self.elapsed))?;
        writeln!(f, "{:<20}{:.1} times\n", "speedup", self.speedup())?;
        let width = self.steps.iter().map(|step| step.label.chars().count()).max().unwrap_or(0).max(4);
        writeln!(
            f,
            "{:<width$}  {:<10}  {:>10}  {:>8}  {:>10}  {:>10}  {:>12}",
            "step", "kind", "elapsed", "workers", "in", "out", "task time"
        )?;
        for (number, step) in self.steps.iter().enumerate() {
            let (kind, workers) = match step.kind {
                StepKind::Parallel => ("parallel", step.workers.to_string()),
                StepKind::Sequential => ("sequential", "-".to_owned()),
            };
            if number > 0 {
                writeln!(f)?;
            }
            write!(
                f,
                "{:<width$}  {kind:<10}  {:>10}  {workers:>8}  {:>10}  {:>10}  {:>12}",
                step.label,
                seconds(step.elapsed),
                grouped(step.inputs),
                grouped(step.outputs),
                seconds(step.busy),
            )?;
        }
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    let s = time.as_secs_f64();
    if s >= 100.0 {
        format!("{s:.1} s")
    } else if s >= 1.0 {
        format!("{s:.2} s")
    } else {
        format!("{:.1} ms", s * 1e3)
    }
}

/// A number with a space between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_for_people() {
        let step = |label: &str, kind, workers, elapsed| StepReport {
            label: label.to_owned(),
            kind,
            elapsed: Duration::from_millis(elapsed),
            busy: Duration::from_secs(225),
            workers,
            inputs: 3000,
            outputs: 2950,
            failed: 0,
        };
        let report = PipelineReport {
            items: 3000,
            outputs: 2950,
            elapsed: Duration::from_millis(2400),
            serial: SerialBaseline::Estimated {
                total: Duration::from_secs(228),
                margin: Duration::from_millis(1500),
                samples: 60,
            },
            steps: vec![
                step("geolocate", StepKind::Parallel, 100, 2390),
                step("sort", StepKind::Sequential, 0, 3),
            ],
        };
        let text = report.to_string();
        assert!(text.contains("228.0 s ± 1.50 s (estimate"), "{text}");
        assert!(text.contains("95.0 times"), "{text}");
        assert!(
            text.lines().any(|line| line.starts_with("sort       sequential      3.0 ms         -")),
            "{text}"
        );
        assert!(text.contains("3 000"), "{text}");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}

//! From the start of a program to its first result.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use rustwren::blocking::{self, block_on};

use crate::child::{Part, command};
use crate::report::{Table, median, seconds};
use crate::{Outcome, Setting};

pub(crate) fn run(setting: &Setting) -> Outcome {
    let table = Table::new(
        "start",
        "from the start of a process to its first line, medians",
        &["what it does", "median", "slowest", "of 100 ms"],
    );
    let repeats = if setting.quick { 5 } else { 41 };
    for (what, part) in [("nothing", Part::Nothing), ("connect, call", Part::Start)] {
        let times = (0..repeats).map(|_| until_line(&part)).collect::<Result<Vec<f64>, _>>()?;
        let slowest = times.iter().copied().fold(0.0, f64::max);
        let middle = median(times);
        table.row(&[what.to_owned(), seconds(middle), seconds(slowest), format!("{:.2}", middle / 0.1)]);
    }
    Ok(())
}

/// In a child: one call, as a program of a user's would make it.
pub(crate) fn first_result() -> Outcome {
    let executor = blocking::connect()?;
    let output = block_on(executor.call(|x: u64| x + 1, 41))?;
    assert_eq!(output, 42);
    println!("done");
    Ok(())
}

fn until_line(part: &Part) -> Result<f64, Box<dyn std::error::Error>> {
    let mut command = command(part)?;
    let begun = Instant::now();
    let mut child = command.stderr(Stdio::inherit()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let took = begun.elapsed().as_secs_f64();
    let status = child.wait()?;
    if line.trim() != "done" || !status.success() {
        return Err(format!("a child has said {line:?} and ended with {status}").into());
    }
    Ok(took)
}

//! Parts that need a process of their own: for its memory, or for its start.

use std::process::{Command, Stdio};

use crate::{Outcome, client, start};

const CLIENT: &str = "--child-client";
const LAZY: &str = "--child-lazy";
const START: &str = "--child-start";
const NOTHING: &str = "--child-nothing";

/// What a child is to do.
pub(crate) enum Part {
    /// Invocations over an invoker that takes no time.
    Client { tasks: u64, in_flight: usize },
    /// A stream of this many elements.
    Lazy { elements: u64 },
    /// Connect, call, and say so.
    Start,
    /// Say so at once.
    Nothing,
}

/// Runs the part that this process was started for, if it was.
pub(crate) fn run(args: &[String]) -> Option<Outcome> {
    let number = |i: usize| args.get(i).and_then(|arg| arg.parse::<u64>().ok()).unwrap_or(0);
    match args.first()?.as_str() {
        CLIENT => Some(client::instant(number(1), number(2) as usize)),
        LAZY => Some(client::lazy(number(1))),
        START => Some(start::first_result()),
        NOTHING => {
            println!("done");
            Some(Ok(()))
        }
        _ => None,
    }
}

/// This program again, to run a part. Its stdout is piped.
pub(crate) fn command(part: &Part) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    match part {
        Part::Client { tasks, in_flight } => {
            command.args([CLIENT, &tasks.to_string(), &in_flight.to_string()]);
        }
        Part::Lazy { elements } => {
            command.args([LAZY, &elements.to_string()]);
        }
        Part::Start => {
            command.arg(START);
        }
        Part::Nothing => {
            command.arg(NOTHING);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

/// Runs a part and gives the numbers that it prints.
pub(crate) fn numbers(part: &Part) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let output = command(part)?.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("a child has ended with {}", output.status).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|number| number.parse().map_err(Into::into)).collect()
}

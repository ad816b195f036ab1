//! What is said about a task that is run again: on stderr, around its own output.

use rustwren::__cli::env::Environment;
use rustwren::__cli::rerun::Rerun;
use rustwren::{FailureKind, TaskFailure};

use super::Task;
use super::outcome::{Likeness, Outcome, compare};
use super::process::Ended;
use super::program::{Program, Source};
use crate::args::ReproArgs;
use crate::human;
use crate::output::{self, DIM, ERROR, GOOD, WARNING};
use crate::table::printable;

/// What will be run.
pub(super) fn before(task: &Task, program: &Program, rerun: &Rerun, debugger: Option<&str>) {
    let attempts = task.capsule.error.attempts.len();
    let attempt = if attempts > 1 { format!(", attempt {attempts} of {attempts}") } else { String::new() };
    output::note(&format!(
        "{BOLD}task {} of job {}{BOLD:#} ({}){attempt}",
        task.capsule.error.index,
        printable(&task.capsule.spec.label),
        task.capsule.spec.id,
        BOLD = output::BOLD,
    ));
    if let Some(recorded) = task.recorded() {
        fact("recorded", &one_line(&recorded.to_string()));
    }
    fact("program", &described(program));
    let mut input = human::bytes(task.capsule.input.len() as u64);
    if !task.shared.is_empty() {
        input = format!("{input}, and {} that all tasks share", human::bytes(task.shared.len() as u64));
    }
    fact("input", &input);
    let mut limits = Vec::new();
    if let Some(time) = rerun.job.task_timeout {
        limits.push(human::duration(time));
    }
    if let Some(memory) = rerun.memory_limit {
        limits.push(format!("{} of memory", human::bytes(memory)));
    }
    if !limits.is_empty() {
        fact("limits", &limits.join(", "));
    }
    if debugger == Some("gdb") {
        fact("debugger", "gdb stops where a task panics; type `run`");
    }
    rule();
}

/// For `--print`.
pub(super) fn printed(task: &Task, program: &Program) {
    output::note(&format!(
        "{DIM}runs task {} of job {} in {}; in an IDE, debug that program with this variable and this argument{DIM:#}",
        task.capsule.error.index,
        printable(&task.capsule.spec.label),
        described(program)
    ));
}

/// What came of it.
pub(super) fn after(args: &ReproArgs, task: &Task, program: &Program, ended: &Ended, outcome: &Outcome) {
    rule();
    let took = if ended.debugged { String::new() } else { format!(" after {}", human::duration(ended.took)) };
    match outcome {
        Outcome::Output(bytes) => {
            let size = human::bytes(bytes.len() as u64);
            output::note(&format!("{GOOD}succeeds now{GOOD:#}{took}, with an output of {size}"));
            if args.output.is_none() && !bytes.is_empty() {
                preview(bytes);
                note("--output PATH writes it to a file");
            }
            if let Some(why) = task.recorded().and_then(|recorded| innocent(&recorded.kind)) {
                note(why);
            }
        }
        Outcome::Failed(now) => failed(task, program, now, &took),
        Outcome::Open => output::note("the debugger was left before the task ended"),
        Outcome::Interrupted => output::note(&format!("interrupted{took}")),
        // They are errors, told as such.
        Outcome::Refused(_) | Outcome::NeverBegan => {}
    }
}

fn failed(task: &Task, program: &Program, now: &TaskFailure, took: &str) {
    let recorded = task.recorded();
    let likeness = recorded.map_or(Likeness::Other, |recorded| compare(recorded, now));
    let what = one_line(&now.to_string());
    let (style, verdict) = match likeness {
        Likeness::Same => (ERROR, "fails again in the same way"),
        Likeness::SameKind => (ERROR, "fails again, with other words"),
        Likeness::MayBe => (ERROR, "fails again, likely in the same way"),
        Likeness::Other => (WARNING, "fails, but otherwise than recorded"),
    };
    output::note(&format!("{style}{verdict}{style:#}{took}: {what}"));
    let backtrace = Environment::of_process().get("RUST_BACKTRACE").is_some();
    let command = format!("rustwren repro {} {}", task.capsule.spec.id, task.capsule.error.index);
    match now.kind {
        FailureKind::Panic if !backtrace => {
            note(&format!("RUST_BACKTRACE=1 {command} shows the way there; --debugger stops there"));
        }
        FailureKind::Signal(_) | FailureKind::StackOverflow => {
            note(&format!("{command} --debugger stops there"));
        }
        FailureKind::TimedOut(_) => {
            note(&format!("{command} --timeout none lets it run; under --debugger Ctrl-C shows where it is"));
        }
        _ => {}
    }
    if program.source == Source::Uploaded {
        note(
            "the program comes from storage and has no debug information: a build of your own has, see --program",
        );
    }
}

/// Why a failure need not come again.
fn innocent(recorded: &FailureKind) -> Option<&'static str> {
    Some(match recorded {
        FailureKind::Lost => "it was lost with its worker, which may have been no fault of the task's",
        FailureKind::Signal(9) | FailureKind::OutOfMemory => {
            "there may be more memory here than on the worker: --memory-limit sets a limit"
        }
        FailureKind::TimedOut(_) => "it may have been slower on the worker than here",
        _ => return None,
    })
}

/// The first bytes of an output, as numbers and as text.
fn preview(bytes: &[u8]) {
    const LINE: usize = 16;
    const LINES: usize = 4;
    for line in bytes.chunks(LINE).take(LINES) {
        let numbers: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = line
            .iter()
            .map(|&byte| if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '.' })
            .collect();
        output::note(&format!("  {DIM}{:<47}  {text}{DIM:#}", numbers.join(" ")));
    }
    if bytes.len() > LINE * LINES {
        output::note(&format!("  {DIM}…{DIM:#}"));
    }
}

fn described(program: &Program) -> String {
    let path = program.path.display();
    match program.source {
        Source::Recorded => format!("{path}, as it was"),
        Source::Named => format!("{path}, the one that it failed in"),
        Source::AnotherBuild => format!("{path}, another build than the one that it failed in"),
        Source::Uploaded => "as it was uploaded for workers".to_owned(),
    }
}

fn fact(name: &str, text: &str) {
    output::note(&format!("  {DIM}{name:<9}{DIM:#} {text}"));
}

fn note(text: &str) {
    output::note(&format!("{DIM}{text}{DIM:#}"));
}

fn rule() {
    output::note(&format!("{DIM}{}{DIM:#}", "─".repeat(60)));
}

fn one_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = printable(lines.next().unwrap_or_default());
    if lines.next().is_some() { first + " …" } else { first }
}

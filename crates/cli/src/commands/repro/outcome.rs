//! What came of a task that was run again.

use std::path::Path;

use rustwren::__cli::error::{Error, ErrorKind, Result};
use rustwren::__cli::rerun::Verdict;
use rustwren::{FailureKind, TaskFailure};

use super::process::Ended;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has this encoded output.
    Output(Vec<u8>),
    /// It failed.
    Failed(TaskFailure),
    /// The program has no such function.
    Refused(String),
    /// The program did not run it: it never reached `rustwren::init()`.
    NeverBegan,
    /// It was begun, and its debugger was left before it ended.
    Open,
    /// Ctrl-C ended it.
    Interrupted,
}

impl Outcome {
    /// From what the process left, and how it ended.
    pub(super) fn of(ended: &Ended, file: &Path) -> Result<Self> {
        let verdict = Verdict::read(file).map_err(|error| {
            Error::new(ErrorKind::Internal, "what the program has left cannot be read").with_source(error)
        })?;
        Ok(match verdict {
            Some(Verdict::Output(bytes)) => Self::Output(bytes.to_vec()),
            Some(Verdict::Failed(failure)) => Self::Failed(failure),
            Some(Verdict::Refused(why)) => Self::Refused(why),
            Some(Verdict::Begun) if ended.interrupted && !ended.debugged => Self::Interrupted,
            // How a debugger ends says nothing of what it debugged.
            None | Some(Verdict::Begun) if ended.debugged => Self::Open,
            Some(Verdict::Begun) => Self::Failed(TaskFailure::new(death(ended.status), "")),
            None => Self::NeverBegan,
        })
    }
}

fn death(status: std::process::ExitStatus) -> FailureKind {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => FailureKind::Exit(code),
        (None, Some(signal)) => FailureKind::Signal(signal),
        (None, None) => FailureKind::Lost,
    }
}

/// How a failure compares with the one that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// Nothing tells them apart.
    Same,
    /// The same kind, other words.
    SameKind,
    /// As far as can be seen from here, it may be the same.
    MayBe,
    /// Another failure.
    Other,
}

/// Compares a failure with the one that was recorded.
pub(super) fn compare(recorded: &TaskFailure, now: &TaskFailure) -> Likeness {
    /// What the standard library ends a program with that it cannot save.
    const ABORT: i32 = 6;
    match (&recorded.kind, &now.kind) {
        // The limit may have been another.
        (FailureKind::TimedOut(_), FailureKind::TimedOut(_)) => Likeness::Same,
        (a, b) if a == b => {
            let place = |failure: &TaskFailure| (failure.message.clone(), failure.location.clone());
            // What supervisors add in words of their own tells nothing of the task.
            if !a.is_user_error() || place(recorded) == place(now) {
                Likeness::Same
            } else {
                Likeness::SameKind
            }
        }
        // A supervisor reads in the process's last words what these were; here they went to the terminal.
        (
            FailureKind::StackOverflow | FailureKind::OutOfMemory | FailureKind::Connection,
            FailureKind::Signal(ABORT),
        ) => Likeness::MayBe,
        _ => Likeness::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failure(kind: FailureKind, message: &str) -> TaskFailure {
        TaskFailure::new(kind, message)
    }

    #[test]
    fn failures_are_compared() {
        use FailureKind::{Exit, OutOfMemory, Panic, Signal, StackOverflow, TimedOut};
        let second = Duration::from_secs(1);
        for (recorded, now, expected) in [
            (failure(Panic, "a"), failure(Panic, "a"), Likeness::Same),
            (failure(Panic, "a"), failure(Panic, "b"), Likeness::SameKind),
            (failure(Signal(11), "what the supervisor saw"), failure(Signal(11), ""), Likeness::Same),
            (failure(Signal(11), ""), failure(Signal(6), ""), Likeness::Other),
            (failure(StackOverflow, "thread overflowed"), failure(Signal(6), ""), Likeness::MayBe),
            (failure(OutOfMemory, ""), failure(Signal(6), ""), Likeness::MayBe),
            (failure(OutOfMemory, ""), failure(Signal(9), ""), Likeness::Other),
            (failure(TimedOut(second), ""), failure(TimedOut(second * 2), ""), Likeness::Same),
            (failure(Exit(1), ""), failure(Exit(2), ""), Likeness::Other),
        ] {
            assert_eq!(compare(&recorded, &now), expected, "{recorded:?} {now:?}");
        }
        let here = TaskFailure { location: Some("a.rs:1:1".to_owned()), ..failure(Panic, "a") };
        assert_eq!(compare(&here, &failure(Panic, "a")), Likeness::SameKind);
    }
}

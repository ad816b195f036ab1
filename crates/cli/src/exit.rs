//! Exit codes. They are part of the interface: scripts rely on them.

use std::fmt::Write as _;
use std::process::ExitCode;

use rustwren::__cli::error::ErrorKind;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Task = 1,
    Usage = 2,
    Config = 3,
    Denied = 4,
    Unavailable = 5,
    Incompatible = 6,
    Budget = 7,
    Internal = 70,
    Interrupted = 130,
}

/// Every exit code with its meaning, for help and documentation.
pub(crate) const ALL: &[(Exit, &str)] = &[
    (Exit::Ok, "success"),
    (Exit::Task, "a task or a job failed; a task that was run again failed again"),
    (Exit::Usage, "wrong command line"),
    (Exit::Config, "wrong configuration"),
    (Exit::Denied, "denied: credentials or permissions"),
    (Exit::Unavailable, "a provider, or the output, could not be used; try again later"),
    (Exit::Incompatible, "the program cannot run where it is sent"),
    (Exit::Budget, "a job met a limit on what it may cost"),
    (Exit::Internal, "a bug in RustWren"),
    (Exit::Interrupted, "cancelled, as by Ctrl-C"),
];

impl Exit {
    /// The one place where kinds of errors become exit codes.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Task => Self::Task,
            ErrorKind::Config => Self::Config,
            ErrorKind::Incompatible => Self::Incompatible,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Cancelled => Self::Interrupted,
            ErrorKind::Budget => Self::Budget,
            // `Internal`, and kinds that a newer core may have.
            _ => Self::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The list of exit codes below `rustwren --help`.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes:");
    for (exit, meaning) in ALL {
        // Writing to a string cannot fail.
        write!(text, "\n  {:>3}  {meaning}", *exit as u8).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here breaks scripts.
    #[test]
    fn codes_are_stable() {
        let codes: Vec<_> = ALL.iter().map(|(exit, _)| *exit as u8).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 70, 130]);
        for (kind, code) in [
            (ErrorKind::Task, 1),
            (ErrorKind::Config, 3),
            (ErrorKind::Denied, 4),
            (ErrorKind::Unavailable, 5),
            (ErrorKind::Incompatible, 6),
            (ErrorKind::Budget, 7),
            (ErrorKind::Internal, 70),
            (ErrorKind::Cancelled, 130),
        ] {
            assert_eq!(Exit::of(kind) as u8, code, "{kind:?}");
        }
    }
}

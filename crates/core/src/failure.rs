//! Why one element of a job has no result.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How one attempt at one element ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// The function panicked; the message is the panic's.
    Panic,
    /// The function returned `Err`; the message is the error's `Display`.
    Returned,
    /// The input could not be decoded as the function's argument.
    Input,
    /// The output could not be encoded.
    Output,
    /// The function process was killed by this signal.
    Signal(i32),
    /// The function process overflowed a stack.
    StackOverflow,
    /// The function process ran out of memory.
    OutOfMemory,
    /// The function called `exit` with this code.
    Exit(i32),
    /// The element ran longer than its time limit.
    TimedOut(Duration),
    /// The function process broke its connection to the supervisor or wrote nonsense to it.
    Connection,
    /// The worker never answered.
    Lost,
    /// The element was cancelled.
    Cancelled,
}

impl FailureKind {
    /// Whether the function itself said so, as against the process or machine under it.
    pub fn is_user_error(&self) -> bool {
        matches!(self, Self::Panic | Self::Returned | Self::Input | Self::Output)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic => f.write_str("panicked"),
            Self::Returned => f.write_str("returned an error"),
            Self::Input => f.write_str("its input could not be decoded"),
            Self::Output => f.write_str("its output could not be encoded"),
            Self::Signal(n) => match signal_name(*n) {
                Some(name) => write!(f, "its process was killed by signal {n} ({name})"),
                None => write!(f, "its process was killed by signal {n}"),
            },
            Self::StackOverflow => f.write_str("overflowed its stack"),
            Self::OutOfMemory => f.write_str("ran out of memory"),
            Self::Exit(code) => write!(f, "ended its process with exit code {code}"),
            Self::TimedOut(limit) => write!(f, "ran longer than its limit of {limit:?}"),
            Self::Connection => f.write_str("its process broke the connection"),
            Self::Lost => f.write_str("its worker never answered"),
            Self::Cancelled => f.write_str("was cancelled"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL, often the kernel's out-of-memory killer",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// One failed attempt at one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// How it ended.
    pub kind: FailureKind,
    /// The panic's or error's message, or what the supervisor saw. May be empty.
    pub message: String,
    /// Where it panicked: `file:line:column`.
    pub location: Option<String>,
    /// The last lines the task wrote to stdout and stderr, at most 4 KiB.
    pub log_tail: String,
}

impl TaskFailure {
    /// A failure without location or log.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), location: None, log_tail: String::new() }
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// The final failure of one element, with the history of its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// The element's position in the job's inputs, from 0.
    pub index: u64,
    /// The label of the job.
    pub job: String,
    /// The encoded size of its input in bytes.
    pub input_bytes: u64,
    /// Every failed attempt, first to last. Never empty.
    pub attempts: Vec<TaskFailure>,
    /// The command that runs this very element again on this machine, where its input is kept for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repro: Option<String>,
}

impl TaskError {
    /// The failure that decided: the last attempt's.
    pub fn last(&self) -> Option<&TaskFailure> {
        self.attempts.last()
    }

    /// How it ended, last attempt.
    pub fn kind(&self) -> Option<&FailureKind> {
        self.last().map(|f| &f.kind)
    }
}

impl TaskError {
    /// What happened, without what to do about it.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("task {} of job {}", self.index, self.job);
        if let Some(last) = self.last() {
            let last_text = last.to_string();
            // `task 3 of job x panicked`, and `task 3 of job x: its process was killed`.
            text.push_str(if last_text.starts_with("its ") { ": " } else { " " });
            text.push_str(&last_text);
            if self.attempts.len() > 1 {
                let count = self.attempts.len().to_string();
                text.extend([" (attempt ", &count, " of ", &count, ")"]);
            }
            if !last.log_tail.is_empty() {
                text.push_str("\n  its last output:");
                for line in last.log_tail.lines() {
                    text.push_str("\n  | ");
                    text.push_str(line);
                }
            }
        }
        text
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())?;
        match &self.repro {
            Some(repro) => write!(f, "\nhint: {repro}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TaskError {}

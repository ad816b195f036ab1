//! What can go wrong, in few kinds, each saying what the caller can do.
//!
//! Backends raise [`BackendError`], classed once where the failure arises. The scheduler reads the class.
//! What is left over reaches the user as [`Error`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::TaskError;

mod reply;

pub use reply::Reply;

/// The result of most public functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What a failure of a storage or compute backend means for whoever called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The provider asks for a slower pace. Costs no attempt; retry after the given time, if any.
    Throttled {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// Passing trouble (connection reset, 5xx): the same call may well succeed.
    Transient,
    /// The object or function named does not exist.
    NotFound,
    /// The worker died or fell silent; what it held is unknown.
    WorkerCrashed,
    /// The call met its time limit.
    TimedOut,
    /// The caller may not do this.
    Denied,
    /// The call can never succeed as things are set up; the hint says what to change.
    Misconfigured,
    /// An argument (a key, a size) is not acceptable.
    Invalid,
    /// The call was cancelled from this side.
    Cancelled,
    /// Something that should not happen did: a broken promise of ours or of the provider's.
    Internal,
}

impl ErrorClass {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Transient | Self::WorkerCrashed | Self::TimedOut)
    }
}

/// A failure of a storage or compute backend.
#[derive(Debug)]
pub struct BackendError {
    class: ErrorClass,
    message: String,
    hint: Option<String>,
    source: Option<Source>,
}

impl BackendError {
    /// A failure of this class; the message says what was attempted and what came back.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: None, source: None }
    }

    /// Adds the mend, shown as a line of its own.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the mend where one is known.
    pub fn with_optional_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// Adds the underlying error.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What this failure means for the caller.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// How to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|s| &**s as &(dyn StdError + 'static))
    }
}

/// What the caller of RustWren can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// One or more tasks failed: look at [`Error::tasks`].
    Task,
    /// The configuration or the way RustWren is called is wrong: change it as the hint says.
    Config,
    /// The program cannot run where it is sent (other CPU, older C library, other image).
    Incompatible,
    /// The provider refuses: credentials or permissions.
    Denied,
    /// The provider could not be used in spite of retries: try again later.
    Unavailable,
    /// The job was cancelled.
    Cancelled,
    /// The job met a limit that was set for what it may cost: raise it, or make do with what was delivered.
    Budget,
    /// A bug in RustWren or a broken promise of a provider.
    Internal,
}

/// The error of the public interface. Cheap to clone: all futures of a job may have to report one end.
#[derive(Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    tasks: Vec<TaskError>,
    source: Option<Arc<dyn StdError + Send + Sync + 'static>>,
}

impl Error {
    /// An error of this kind; the message says what was attempted and what stood in the way.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                hint: None,
                tasks: Vec::new(),
                source: None,
            }),
        }
    }

    /// An error made of failed tasks, first failure first.
    pub fn from_tasks(message: impl Into<String>, tasks: Vec<TaskError>) -> Self {
        let mut error = Self::new(ErrorKind::Task, message);
        error.inner.tasks = tasks;
        error
    }

    /// The error of a failed task. Its hint is the command that runs the task again, where its input is kept.
    pub fn from_task(task: TaskError) -> Self {
        let mut error = Self::new(ErrorKind::Task, task.describe());
        error.inner.hint.clone_from(&task.repro);
        error.inner.tasks = vec![task];
        error
    }

    /// Adds the mend, shown as a line of its own.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Adds the mend where one is known.
    pub fn with_optional_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// Adds what can be done besides, or after the mend that is known.
    pub fn and_hint(mut self, hint: &str) -> Self {
        self.inner.hint = Some(match self.inner.hint.take() {
            Some(first) => format!("{first}; {hint}"),
            None => hint.to_owned(),
        });
        self
    }

    /// Adds the underlying error.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(Arc::from(source.into()));
        self
    }

    /// Says what was attempted, in front of what stood in the way.
    pub fn context(mut self, attempted: &str) -> Self {
        self.inner.message = format!("{attempted}: {}", self.inner.message);
        self
    }

    /// What was attempted and what stood in the way, with the underlying error and without the hint.
    pub fn message(&self) -> String {
        match &self.inner.source {
            Some(source) => format!("{}: {source}", self.inner.message),
            None => self.inner.message.clone(),
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// How to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// The tasks that failed, first failure first; empty for other kinds.
    pub fn tasks(&self) -> &[TaskError] {
        &self.inner.tasks
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if let Some(source) = &self.inner.source {
            write!(f, ": {source}")?;
        }
        if let Some(hint) = &self.inner.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// The same text as `Display`: a `main` that returns `Err` prints the message and its hint, not a dump.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|s| &**s as &(dyn StdError + 'static))
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        let kind = match error.class {
            ErrorClass::Throttled { .. }
            | ErrorClass::Transient
            | ErrorClass::WorkerCrashed
            | ErrorClass::TimedOut => ErrorKind::Unavailable,
            ErrorClass::Denied => ErrorKind::Denied,
            ErrorClass::NotFound | ErrorClass::Misconfigured | ErrorClass::Invalid => ErrorKind::Config,
            ErrorClass::Cancelled => ErrorKind::Cancelled,
            ErrorClass::Internal => ErrorKind::Internal,
        };
        let mut out = Error::new(kind, error.message);
        out.inner.hint = error.hint;
        out.inner.source = error.source.map(Arc::from);
        out
    }
}

/// An error and its sources, each said once.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |&error| error.source()) {
        let part = error.to_string();
        if parts.iter().all(|said| !said.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_say_each_thing_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner(#[source] Innermost);
        #[derive(Debug, thiserror::Error)]
        #[error("innermost cause")]
        struct Innermost;
        assert_eq!(chain(&Outer(Inner(Innermost))), "outer: inner: innermost cause");
    }
}

//! What a function has answered: the answer of RustWren's runtime, or why there is none.

use std::sync::Arc;

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, LogLine, Reply, ResultBatch};
use rustwren_core::protocol::json::Enveloped;
use rustwren_core::protocol::listener::Listener;
use serde::Deserialize;

/// How much of the function's log goes into a message.
const TAIL: usize = 1500;

/// What Lambda says of a function that failed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: String,
    error_message: String,
}

/// Takes an answer apart. What it reports goes to `events`.
pub(super) fn read(
    output: InvokeOutput,
    invocation: u64,
    events: &Arc<dyn Events>,
    attempt: &str,
) -> Result<Reply, BackendError> {
    let payload = output.payload.map(aws_sdk_lambda::primitives::Blob::into_inner).unwrap_or_default();
    if output.function_error.is_some() {
        let error = serde_json::from_slice(&payload).unwrap_or_else(|_| FunctionError {
            error_message: String::from_utf8_lossy(&payload[..payload.len().min(TAIL)]).into_owned(),
            ..FunctionError::default()
        });
        return Err(failed(&error, output.log_result.as_deref(), attempt));
    }
    let Enveloped(bytes) = serde_json::from_slice(&payload).map_err(|error| {
        let message = format!("{attempt}: its answer is not one of a RustWren runtime");
        BackendError::new(ErrorClass::Misconfigured, message).with_source(error).with_hint(
            "is `function` the one that `rustwren setup` has made? It deploys the runtime that belongs to this program",
        )
    })?;
    drop(payload);
    let events: Arc<dyn Events> = Arc::new(AfterTheEnd(Arc::clone(events)));
    let mut listener = Listener::new(invocation, &events);
    listener.hear(&bytes)?;
    listener.end()
}

/// What is heard only when an invocation is over: when it began would be taken for now.
struct AfterTheEnd(Arc<dyn Events>);

impl Events for AfterTheEnd {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        self.0.results(invocation, batch);
    }

    fn started(&self, _: u64) {}

    fn log(&self, invocation: u64, line: LogLine) {
        self.0.log(invocation, line);
    }
}

/// What a failed function means. The runtime answers whatever becomes of tasks; one that fails is dead, out of time, or
/// not what it should be.
fn failed(error: &FunctionError, log: Option<&str>, attempt: &str) -> BackendError {
    let FunctionError { error_type, error_message } = error;
    let killed = error_type == "Runtime.OutOfMemory" || error_message.contains("signal: killed");
    let (class, hint) = match error_type.as_str() {
        "Sandbox.Timedout" => (ErrorClass::TimedOut, Some(TIMED_OUT)),
        // Older accounts get no type with it.
        _ if error_message.contains("Task timed out after") => (ErrorClass::TimedOut, Some(TIMED_OUT)),
        _ if killed => (ErrorClass::WorkerCrashed, Some(OUT_OF_MEMORY)),
        "Runtime.InvalidEntrypoint" | "Runtime.InvalidWorkingDir" => {
            (ErrorClass::Misconfigured, Some(NOT_OURS))
        }
        "Function.ResponseSizeTooLarge" => (ErrorClass::Internal, None),
        kind if ["Runtime.", "Sandbox.", "Extension."].iter().any(|begin| kind.starts_with(begin)) => {
            (ErrorClass::WorkerCrashed, None)
        }
        _ => (ErrorClass::Misconfigured, Some(NOT_OURS)),
    };
    let mut message = format!("{attempt}: ");
    if !error_type.is_empty() {
        message = message + error_type + ": ";
    }
    message += error_message.trim();
    if killed {
        message += " (most likely out of memory)";
    }
    for line in tail(log).lines() {
        message = message + "\n  | " + line;
    }
    let error = BackendError::new(class, message);
    error.with_optional_hint(hint)
}

const TIMED_OUT: &str = "the worker did not hand back in time: split the task, or raise `timeout` in [compute] and run \
                         `rustwren setup`";
const OUT_OF_MEMORY: &str = "raise `memory` in [compute] and run `rustwren setup`";
const NOT_OURS: &str = "`rustwren setup` deploys the runtime that belongs to this program; is `function` the one that it has made?";

/// The last lines of a log that comes in base64.
fn tail(log: Option<&str>) -> String {
    let bytes = STANDARD.decode(log.unwrap_or_default()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    let from = text.ceil_char_boundary(text.len().saturating_sub(TAIL));
    // Not from the middle of a line.
    let from = if from == 0 { 0 } else { text[from..].find('\n').map_or(from, |end| from + end + 1) };
    text[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(kind: &str, message: &str) -> ErrorClass {
        let error = FunctionError { error_type: kind.to_owned(), error_message: message.to_owned() };
        failed(&error, None, "x").class()
    }

    #[test]
    fn function_errors_are_classed() {
        for (kind, message, expected) in [
            (
                "Sandbox.Timedout",
                "RequestId: 1 Error: Task timed out after 3.00 seconds",
                ErrorClass::TimedOut,
            ),
            ("", "2026-11-28T00:00:00Z 1 Task timed out after 3.00 seconds", ErrorClass::TimedOut),
            ("Runtime.ExitError", "Runtime exited with error: signal: killed", ErrorClass::WorkerCrashed),
            ("Runtime.ExitError", "Runtime exited with error: exit status 1", ErrorClass::WorkerCrashed),
            ("Runtime.OutOfMemory", "", ErrorClass::WorkerCrashed),
            ("Runtime.InvalidEntrypoint", "fork/exec: exec format error", ErrorClass::Misconfigured),
            ("Function.ResponseSizeTooLarge", "", ErrorClass::Internal),
            ("TypeError", "of a function of somebody else's", ErrorClass::Misconfigured),
        ] {
            assert_eq!(class(kind, message), expected, "{kind} {message}");
        }
    }

    #[test]
    fn the_log_tells_why() {
        let error = FunctionError {
            error_type: "Runtime.ExitError".to_owned(),
            error_message: "signal: killed".to_owned(),
        };
        let log = STANDARD.encode("START\nout of memory\n");
        let error = failed(&error, Some(&log), "invoking f");
        assert_eq!(
            error.to_string(),
            "invoking f: Runtime.ExitError: signal: killed (most likely out of memory)\n  | START\n  | out of memory"
        );
        assert!(error.hint().unwrap().contains("`memory`"));
        let cut = STANDARD.encode("ä".repeat(TAIL) + "\nlast");
        assert_eq!(tail(Some(&cut)), "last");
        assert_eq!(tail(Some("no base64 at all")), "");
    }
}

//! Writing to stdout and stderr. Colour is only for terminals, and never with `NO_COLOR` (anstream sees to it).

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use rustwren::__cli::error::{Error, ErrorKind};

use crate::failure::Failure;

/// For failures.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// For what needs somebody's attention.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// For successes.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For what is under way.
pub(crate) const ACTIVE: Style = AnsiColor::Cyan.on_default().bold();
/// For names.
pub(crate) const BOLD: Style = Style::new().bold();
/// For what is beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Writes data to stdout, all of it or an error.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Writes data to stdout as JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "it cannot be written as JSON").with_source(error)
    })?;
    text.push('\n');
    data(text.as_bytes())
}

/// Tells the user what went wrong, and the mend.
pub(crate) fn error(message: &str, hint: Option<&str>) {
    labelled(ERROR, "error", message);
    if let Some(hint) = hint {
        labelled(HINT, "hint", hint);
    }
}

/// Tells the user what looks wrong.
pub(crate) fn warning(message: &str) {
    labelled(WARNING, "warning", message);
}

/// Tells the user something.
pub(crate) fn note(message: &str) {
    stderr(&format!("{message}\n"));
}

/// Asks the user something; the answer comes behind it.
pub(crate) fn ask(question: &str) {
    stderr(question);
}

fn labelled(style: Style, label: &str, message: &str) {
    stderr(&format!("{style}{label}:{style:#} {message}\n"));
}

fn stderr(text: &str) {
    // When stderr cannot be written, there is nowhere left to say so; the exit code still tells.
    drop(anstream::stderr().lock().write_all(text.as_bytes()));
}

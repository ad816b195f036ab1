//! Asking before something is changed.

use std::io::{BufRead as _, IsTerminal as _};

use rustwren::__cli::error::{Error, ErrorKind};

use crate::failure::Failure;
use crate::output;

/// Asks at the terminal. Without one nobody can have meant it: then it is an error that `at_stake`, with this hint.
pub(crate) fn confirmed(question: &str, at_stake: &str, hint: &str) -> Result<bool, Failure> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let message = format!("{at_stake}, and there is nobody to ask");
        return Err(Error::new(ErrorKind::Config, message).with_hint(hint).into());
    }
    output::ask(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the answer cannot be read").with_source(error)
    })?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

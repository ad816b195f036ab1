//! Why the command ends without success.

use std::io;

use rustwren::__cli::error::Error;

use crate::exit::Exit;
use crate::output;

/// Why the command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// RustWren says so.
    RustWren(Error),
    /// Stdout or stderr could not be written.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::RustWren(error)
    }
}

impl Failure {
    /// Tells the user, and says how to exit.
    pub(crate) fn report(self) -> Exit {
        match self {
            Self::RustWren(error) => {
                let text = error.to_string();
                let hint = error.hint();
                // The hint is the end of the text; here it has a line of its own style.
                let message =
                    hint.and_then(|hint| text.strip_suffix(&format!("\nhint: {hint}"))).unwrap_or(&text);
                output::error(message, hint);
                Exit::of(error.kind())
            }
            // Whoever read the output has had enough (`rustwren … | head`): that is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Output(error) => {
                output::error(&format!("cannot write the output: {error}"), None);
                Exit::Unavailable
            }
        }
    }
}

//! The front end on Azure Functions: a custom handler, which the host of functions starts and passes calls and messages
//! on to.
//!
//! It is [`serve`] with other paths, on the port that the host says. Who may call is up to the host, which
//! asks callers for the function key. On the same machine the port is open to tasks as well: connections of theirs are told
//! by the user that they run as, and not taken.

use std::process::ExitCode;
use std::time::Duration;

use rustwren_core::config::LoadOptions;
use rustwren_core::env;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_runtime::Isolation;

use crate::config::NAME;
use crate::serve;
use crate::serve::custom_handler::CustomHandler;

/// The folder that can be written, on every plan, and is this instance's alone.
const TMP: &str = "/tmp";
/// An answer must be there within 230 s of the call, or Azure gives the call up. An invocation is over this long before, so
/// that results can be stored and the answer can travel.
const HTTP_LIMIT: Duration = Duration::from_secs(220);

/// Whether this process was started by the host of functions.
pub fn is_here() -> bool {
    env::FUNCTIONS_CUSTOMHANDLER_PORT.get().is_some()
}

/// Serves the host until it ends this process.
pub fn run() -> ExitCode {
    match crate::log::start().and_then(|()| start()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The host shows this in its own log.
            eprintln!("rustwren-runtime: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let port = env::FUNCTIONS_CUSTOMHANDLER_PORT.get_str()?.unwrap_or_default();
    let options = LoadOptions::of_process()
        .search(false)
        .user_cache_dir(TMP)
        // From the lowest layer on, or what the environment sets of it would count for nothing.
        .default_compute(NAME)
        .set("compute.backend", NAME)
        .set("compute.platform_auth", true)
        .set("compute.listen", format!("127.0.0.1:{port}"));
    serve::run(&options, |config, cache| {
        let root = cache.join("private");
        let isolation = Isolation::new(&root).map_err(|error| {
            let message = format!("the folder {} for tasks cannot be made", root.display());
            Error::new(ErrorKind::Config, message)
                .with_source(error)
                .with_hint("set RUSTWREN_CACHE_DIR to a folder that can be written")
        })?;
        if !isolation.separates_users() {
            tracing::warn!(
                "tasks run as this user: those of one job are kept from others' files by nothing but good manners"
            );
        }
        let limit = config.processes.max_duration.unwrap_or(HTTP_LIMIT).min(HTTP_LIMIT);
        config.processes.max_duration = Some(limit);
        Ok(Some(CustomHandler { isolation }))
    })
}

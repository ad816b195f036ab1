//! Log messages, for those who look into what RustWren does.

use rustwren::__cli::env;
use rustwren::__cli::error::{Error, ErrorKind};
use rustwren::redact::Redacting;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Sends log messages to stderr, without signatures of URLs: those that `RUSTWREN_LOG` asks for, else as many as there are `-v`.
pub(crate) fn start(verbose: u8) -> Result<(), Failure> {
    let asked = env::LOG.get_str()?;
    let directives = asked.as_deref().unwrap_or(match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    });
    let filter = EnvFilter::builder().parse(directives).map_err(|error| {
        Error::new(ErrorKind::Config, format!("environment variable {}: {error}", env::LOG.name)).with_hint(
            "a level (error, warn, info, debug, trace), or `target=level` pairs with commas between",
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        // `anstream` knows about terminals and NO_COLOR, and strips colour where it must not be.
        .with_writer(|| Redacting(anstream::stderr()))
        .init();
    Ok(())
}

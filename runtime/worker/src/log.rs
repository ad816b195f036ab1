//! Log messages, on stderr.

use rustwren_core::env;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::redact::Redacting;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends what `RUSTWREN_LOG` asks for to stderr, else warnings and notices; without signatures of URLs.
pub(crate) fn start() -> Result<()> {
    let asked = env::LOG.get_str()?;
    let filter: Targets = asked.as_deref().unwrap_or("info").parse().map_err(|error| {
        Error::new(ErrorKind::Config, format!("environment variable {}: {error}", env::LOG.name)).with_hint(
            "a level (error, warn, info, debug, trace), or `target=level` pairs with commas between",
        )
    })?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(|| Redacting(std::io::stderr())).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

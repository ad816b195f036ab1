//! Starting a driver for a job that nobody drives.

use rustwren::__cli::durable::jobs::{JobDetails, JobKind};
use rustwren::__cli::error::{Error, ErrorKind, Result};

use super::describe;
use crate::place::Place;

/// Has the provider start the job's program as its driver.
pub(super) async fn start(_place: &Place, details: &JobDetails) -> Result<()> {
    let name = describe::name(&details.info);
    let error = Error::new(ErrorKind::Config, format!("nobody drives {name}"));
    Err(match details.info.kind {
        JobKind::Resume => error.with_hint("run its program again: it goes on where it stopped"),
        _ => error.with_hint("attach to it from its program"),
    })
}

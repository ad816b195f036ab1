//! Jobs that are resumed by what their inputs are, to their end.

use super::keep::Parting;
use super::outbox::Outbox;
use super::run::JobRun;
use crate::error::{Error, ErrorKind};

/// Runs a job that is resumed by content to its end, or until its holder leaves.
pub async fn run_resumed(mut run: JobRun, outbox: Outbox, label: &str) {
    (&mut run).await;
    let message = match run.parting() {
        None => return,
        Some(Parting::Left(leadership)) => {
            if let Err(error) = leadership.heart().stop().await {
                tracing::debug!(%error, "the last sign of life stays");
            }
            format!("job {label} is no longer run by this program; what is finished is kept")
        }
        Some(Parting::Deposed(..)) => {
            format!("another run of the program has taken job {label} over; what is finished is kept")
        }
    };
    let error = Error::new(ErrorKind::Cancelled, message);
    outbox.finish(Err(error.with_hint("run the program again to go on with the rest")));
}

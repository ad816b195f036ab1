//! Starting a driver for a job that nobody drives.

use rustwren::__cli::durable::JobId;
use rustwren::__cli::error::Result;
use rustwren::Executor;

use crate::place::Place;

/// Has the provider start the job's program, from storage, as its driver.
pub(super) async fn start(place: &Place, id: &JobId) -> Result<()> {
    let options = place.options.clone().set("client.progress", "never");
    let executor = Executor::connect_with(&options).await?;
    executor.start_driver(id.as_str()).await
}

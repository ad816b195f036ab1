//! The order to drive a job, to a process that the provider starts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::config::Carried;
use crate::durable::{Heart, Manifest, Owner, Store};
use crate::entry::Call;
pub(super) use crate::entry::DRIVE;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageId;
use crate::invoker::{Invocation, Invoker, JobSpec, Payload};
use crate::protocol::records::append_input;

/// How it is called.
pub(super) const CALL: Call = Call::TryMapAsync;
/// How long a process that was told to drive a job may take until it does. Then it is taken for lost.
const HAND_OVER: Duration = Duration::from_mins(1);

/// What the driver is told. The program that reads it may be older or younger than the one that writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    version: u8,
    /// The job's id.
    pub(super) job: String,
    /// Where the job is and where it runs.
    pub(super) settings: Carried,
}

const VERSION: u8 = 1;

impl Order {
    pub(super) fn new(job: String, settings: Carried) -> Self {
        Self { version: VERSION, job, settings }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.version == VERSION {
            return Ok(());
        }
        let Self { version, job, .. } = self;
        let message = format!(
            "the order to drive job {job} has version {version}, and this program knows version {VERSION}"
        );
        Err(Error::new(ErrorKind::Incompatible, message)
            .with_hint("use the `rustwren` command and crate of the version that started the job"))
    }

    fn invocation(&self, label: &str, image: ImageId) -> Result<Invocation> {
        let mut record = Vec::new();
        append_input(&mut record, |out| codec::encode(self, out)).map_err(|error| {
            Error::new(ErrorKind::Internal, "the order to drive a job cannot be encoded").with_source(error)
        })?;
        // Not the job's own id: a worker remembers the function of a job by its id.
        let spec = JobSpec::named(format!("{}-drive", self.job), image, DRIVE, CALL);
        let spec = Arc::new(JobSpec { label: format!("{label}/drive"), ..spec });
        let inputs = Payload::Inline(vec![Bytes::from(record)]);
        Ok(Invocation { whole: true, ..Invocation::first(spec, fastrand::u64(..), 1, inputs) })
    }
}

/// Has the provider start a process of the job's program that drives it, for a job that nobody drives. Returns once the
/// process is on its way; should it not begin to drive the job, the job is without a driver again after a minute.
///
/// `owner` is this process and `lease` how long its sign of life holds; `settings` tell the other one where the job is and
/// where it runs.
pub async fn start_driver(
    invoker: &dyn Invoker,
    store: &Store,
    manifest: &Manifest,
    settings: &Carried,
    owner: Owner,
    lease: Duration,
) -> Result<()> {
    let heart = Heart::start(store, &manifest.id, owner, lease, Some(manifest.image)).await?;
    hand_over(invoker, manifest, settings, &heart).await
}

/// Has the provider start a process of the job's program that drives it. `heart` is this process's: from here on it says
/// that another is to come.
pub(super) async fn hand_over(
    invoker: &dyn Invoker,
    manifest: &Manifest,
    settings: &Carried,
    heart: &Heart,
) -> Result<()> {
    let id = &manifest.id;
    let order = Order::new(id.to_string(), settings.clone());
    let invocation = order.invocation(&manifest.label, manifest.image)?;
    // Before the other one begins: it looks whether somebody drives the job.
    heart.hand_over(HAND_OVER.max(heart.lease())).await?;
    if let Err(error) = invoker.invoke_detached(invocation).await {
        if let Err(error) = heart.stop().await {
            tracing::debug!(%error, "the last sign of life stays");
        }
        let attempted = format!("job {id} is stored, but no process could be started that drives it");
        let hint = format!("`attach` to job {id} drives it from here, `rustwren jobs clean {id}` removes it");
        return Err(Error::from(error).context(&attempted).and_hint(&hint));
    }
    Ok(())
}

//! [`Executor::attach`]: a job that was started elsewhere.

use std::any::type_name;

use super::handle::Executor;
use super::job::Job;
use super::open::open;
use super::spawn::Keeps;
use super::takeover;
use crate::durable::{JobId, Kind, Manifest, set_budget};
use crate::error::{Error, ErrorKind, Result};
use crate::scheduler::Budget;
use crate::scheduler::follow::{Begin, Follow};

impl Executor {
    /// Gives a [durable](super::MapBuilder::durable) or [detached](super::MapBuilder::detach) job another budget, which
    /// holds for whoever drives it from its next driver on. What the job has used up counts: a job that has stopped at
    /// its budget goes on when somebody attaches to it after this.
    pub async fn set_budget(&self, id: impl AsRef<str>, budget: Budget) -> Result<()> {
        let id = JobId::new(id.as_ref())?;
        let store = self.inner.store();
        self.inner.driver.run(async move { set_budget(&store, &id, &budget).await }).await?
    }

    /// The [durable](super::MapBuilder::durable) or [detached](super::MapBuilder::detach) job with this id, which may
    /// have been started by another program, on another machine, and may have ended long ago. `O` is the type of its
    /// outputs.
    ///
    /// While somebody else drives the job this looks on: its results come as they are recorded. When its driver dies
    /// this one takes its place, after the driver's lease, and at once if both run on the same machine. Any number of
    /// programs may be attached at once; all of them see the same results.
    ///
    /// All of the [`Job`]'s methods work. Of those that look on, [`cancel`](Job::cancel) asks the driver, which listens
    /// within a third of its lease; elements cannot be cancelled one by one, and which of them run is not known.
    /// Dropping the `Job` leaves the job alone: if it was driven from here, somebody else may go on with it.
    pub async fn attach<O>(&self, id: impl AsRef<str>) -> Result<Job<O>> {
        let id = JobId::new(id.as_ref())?;
        let inner = &self.inner;
        let store = inner.store();
        let manifest = inner.driver.run(async move { Manifest::read(&store, &id).await }).await??;
        manifest.check_output(type_name::<O>())?;
        if manifest.kind == Kind::Resume || manifest.inputs.is_none() {
            let message = format!("job {} has no stored inputs: its program brings them along", manifest.id);
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("run that program again: it goes on where it stopped"));
        }
        let opened = {
            let buffer = manifest.job_options(0).result_buffer;
            open(self, &manifest.id, &manifest.label, buffer, Keeps::Everything)
        };
        let (owner, lease) = (inner.owner(), inner.lease());
        let takeover =
            takeover::of_program(&inner.program, &manifest, &inner.resources, &owner, lease, &inner.carried);
        let follow = Follow {
            resources: inner.resources.clone(),
            options: manifest.job_options(fastrand::u64(..)),
            outbox: opened.outbox(),
            owner,
            lease,
            takeover,
            manifest,
        };
        inner.driver.spawn_kept(follow.run_to_end(Begin::Viewing));
        Ok(opened.job(self.clone()))
    }
}

//! Driving a job in a process that the provider has started for it: what [`MapBuilder::detach`](super::MapBuilder::detach)
//! hands a job over to.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::handle::Executor;
use super::open::open;
use super::order::{self, DRIVE, Order};
use super::spawn::Keeps;
use super::takeover;
use crate::config::LoadOptions;
use crate::durable::{JobId, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::scheduler::follow::{Begin, Follow};
use crate::task::context::task;
use crate::task::remote::RemoteEntry;
use crate::task::try_map_async;

/// Every program has it: a job goes on in a process of the one that started it.
pub(crate) static ENTRY: RemoteEntry = RemoteEntry::new(DRIVE, file!(), line!(), || try_map_async(drive));

/// The part of a process's time, and the bounds of it, that is left to record what is finished and to start the next
/// driver. Never more than half of it.
const SHARE: u32 = 10;
const LEAST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_mins(1);

async fn drive(order: Order) -> Result<(), String> {
    let deadline = task().deadline();
    run(order, deadline).await.map_err(|error| error.to_string())
}

async fn run(order: Order, deadline: Option<Instant>) -> Result<()> {
    order.check()?;
    let executor = Executor::connect_with(&order.settings.clone().onto(LoadOptions::of_process())).await?;
    executor.drive_to_end(&order.job, deadline).await
}

impl Executor {
    /// Drives a job that was handed over until it ends, or until the time has come to hand it over again. Nothing is
    /// done if somebody else drives it.
    pub(super) async fn drive_to_end(&self, id: &str, deadline: Option<Instant>) -> Result<()> {
        let id = JobId::new(id)?;
        let inner = &self.inner;
        let store = inner.store();
        let manifest = inner.driver.run(async move { Manifest::read(&store, &id).await }).await??;
        let options = manifest.job_options(fastrand::u64(..));
        let opened = open(self, &manifest.id, &manifest.label, options.result_buffer, Keeps::Everything);
        let outbox = opened.outbox();
        // The journal has the results; nobody here wants them.
        outbox.discard();
        let (owner, lease) = (inner.owner(), inner.lease());
        let takeover =
            takeover::of_program(&inner.program, &manifest, &inner.resources, &owner, lease, &inner.carried);
        let follow = Follow {
            resources: inner.resources.clone(),
            options,
            outbox: outbox.clone(),
            owner,
            lease,
            takeover,
            manifest: manifest.clone(),
        };
        let (tell, mut told) = oneshot::channel();
        let (invoker, carried) = (std::sync::Arc::clone(&inner.resources.invoker), inner.carried.clone());
        let leaving = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            left.saturating_sub((left / SHARE).clamp(LEAST, MOST).min(left / 2))
        });
        let stop = outbox.clone();
        inner.driver.spawn_kept(async move {
            let mut following = Box::pin(follow.run(Begin::Chosen));
            let left = match leaving {
                None => following.await,
                Some(time) => {
                    if let Ok(left) = tokio::time::timeout(time, &mut following).await {
                        left
                    } else {
                        stop.commands().leave();
                        following.await
                    }
                }
            };
            let handed = match left {
                Some(leadership) => {
                    order::hand_over(&*invoker, &manifest, &carried, leadership.heart()).await
                }
                None => Ok(()),
            };
            // Whoever waited for it is gone with its executor otherwise.
            drop(tell.send(handed));
        });
        let handed = (&mut told).await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the executor ended before the job did").with_source(error)
        })?;
        handed?;
        match outbox.end() {
            // How the job ended stands in its journal.
            Some(Err(error)) if !matches!(error.kind(), ErrorKind::Task | ErrorKind::Cancelled) => Err(error),
            _ => Ok(()),
        }
    }
}

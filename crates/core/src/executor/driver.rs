//! The thread that runs an executor's jobs.
//!
//! Schedulers and invokers share one thread with a tokio runtime of its own: the user's runtime may be busy,
//! blocked, or not there at all, and a hand-over between threads costs more than most invocations on this
//! machine.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};

use crate::error::{Error, ErrorKind, Result};
use crate::invoker::Invoker;

/// How long what was finished of durable jobs may take to be recorded when the executor goes.
const FAREWELL: Duration = Duration::from_secs(3);

/// A running driver thread. Dropping it ends the invoker and the thread.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    stop: Option<oneshot::Sender<Option<Arc<dyn Invoker>>>>,
    thread: Option<JoinHandle<()>>,
    /// What is shut down at the end.
    pub(super) invoker: Option<Arc<dyn Invoker>>,
    /// How many futures are to come to their end first.
    kept: watch::Sender<usize>,
}

impl Driver {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "the executor's thread could not be started")
                .with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Option<Arc<dyn Invoker>>>();
        let (kept, mut leaving) = watch::channel(0);
        let thread = std::thread::Builder::new()
            .name("rustwren".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let invoker = stopped.await;
                    // Their holders have gone, and they know.
                    if tokio::time::timeout(FAREWELL, leaving.wait_for(|kept| *kept == 0)).await.is_err() {
                        tracing::warn!("a job's last results could not be recorded in time");
                    }
                    if let Ok(Some(invoker)) = invoker {
                        invoker.shutdown().await;
                    }
                });
                // Tasks that block (a read from a hung disk) do not keep the program from ending.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread), invoker: None, kept })
    }

    /// Has the thread run a future.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        // The task runs by itself; its outcome is told through channels of its own.
        drop(self.handle.spawn(future));
    }

    /// Has the thread run a future which, once the executor's last holder is gone, has a moment to come to its end by
    /// itself.
    pub(super) fn spawn_kept(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.kept.send_modify(|kept| *kept += 1);
        let kept = Kept(self.kept.clone());
        self.spawn(async move {
            future.await;
            drop(kept);
        });
    }

    /// Has the thread run a future and waits for what it gives. Whoever stops waiting stops the future.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let mut running = AbortOnDrop(self.handle.spawn(future));
        (&mut running.0).await.map_err(|error| {
            Error::new(ErrorKind::Internal, "a step on the executor's thread did not end well")
                .with_source(error)
        })
    }
}

/// A future that is waited for at the end.
struct Kept(watch::Sender<usize>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.send_modify(|kept| *kept = kept.saturating_sub(1));
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A thread that is gone already has nothing left to stop.
            drop(stop.send(self.invoker.take()));
        }
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the executor's thread panicked");
        }
    }
}

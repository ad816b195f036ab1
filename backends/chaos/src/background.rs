//! What goes on when nobody waits for it: second runs, late results, workers that do not stop at once.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, Either, select};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Runs a task on its own. A task that cannot be run is dropped.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// On the tokio runtime of the thread that asks.
pub(crate) fn on_tokio() -> Spawn {
    Arc::new(|task| {
        if let Ok(runtime) = Handle::try_current() {
            // It runs by itself; what it brings is told through events.
            drop(runtime.spawn(task));
        }
    })
}

/// Tasks that end at shutdown, whatever they are doing.
#[derive(Clone)]
pub(crate) struct Background {
    spawn: Spawn,
    shut: Arc<watch::Sender<bool>>,
}

impl Background {
    pub(crate) fn new(spawn: Spawn) -> Self {
        Self { spawn, shut: Arc::new(watch::Sender::new(false)) }
    }

    pub(crate) fn shut_down(&self) {
        self.shut.send_replace(true);
    }

    /// What `future` gives; none once everything is shut down.
    pub(crate) async fn until_shut<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut shut = self.shut.subscribe();
        let over = pin!(shut.wait_for(|shut| *shut));
        match select(over, pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }

    /// Has a task run on its own, until it ends or everything is shut down.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let background = self.clone();
        (self.spawn)(Box::pin(async move {
            // None or unit: it is over either way.
            background.until_shut(task).await.unwrap_or_default();
        }));
    }
}

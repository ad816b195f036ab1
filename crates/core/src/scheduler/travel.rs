//! One invocation's way there: inputs too large to travel inline go through storage, and leave nothing there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream};

use super::run::JobRun;
use super::signs::{Signs, as_backend};
use crate::clock::Sleep;
use crate::error::BackendError;
use crate::invoker::{Events, Invocation, Invoker, Payload, Reply};
use crate::storage::{Key, Storage};

/// How long the end of a job waits for objects that are being deleted.
pub(super) const CLEARING: Duration = Duration::from_secs(5);

/// Invokes, with the inputs stored under the name `spill` if that is given. `signs` are given before anything is stored,
/// be it here or by the worker.
pub(super) async fn travel(
    invoker: Arc<dyn Invoker>,
    storage: Arc<dyn Storage>,
    events: Arc<dyn Events>,
    mut invocation: Invocation,
    signs: Option<Signs>,
    spill: Option<Arc<str>>,
) -> Result<Reply, BackendError> {
    if let Some(signs) = signs {
        signs.given().await.map_err(as_backend)?;
    }
    if let (Some(name), Payload::Inline(parts)) = (spill, &invocation.inputs) {
        let bytes = Bytes::from(parts.concat());
        let len = bytes.len() as u64;
        storage.put(&Key::new(&*name)?, bytes).await?;
        invocation.inputs = Payload::Stored { key: name.to_string(), offset: 0, len };
    }
    invoker.invoke(invocation, &events).await
}

/// Objects that nobody needs any more, being deleted.
#[derive(Default)]
pub(super) struct Clearing {
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When the job's end no longer waits.
    patience: Option<Sleep>,
}

impl Clearing {
    /// Takes note of what has been deleted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = Pin::new(&mut self.under_way).poll_next(cx) {}
    }
}

impl JobRun {
    /// Where an invocation's inputs are stored. Another process may go on with this job later, and it counts its
    /// invocations anew, so that their numbers alone would not do.
    pub(super) fn spill_key(&self, invocation: u64) -> Arc<str> {
        format!("jobs/{}/spill/{:08x}-{invocation}", self.spec.id, self.tag).into()
    }

    /// Has an object deleted: the stored inputs of an invocation that is over, one way or the other.
    pub(super) fn clear(&mut self, spilled: Option<Arc<str>>) {
        let Some(name) = spilled else { return };
        let storage = Arc::clone(&self.resources.storage);
        self.clearing.under_way.push(Box::pin(async move {
            let deleted = match Key::new(&*name) {
                Ok(key) => storage.delete(&key).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::debug!(key = %name, %error, "what a job that goes on, or is over, does not need could not be deleted");
            }
        }));
    }

    /// Completes when nothing is left to be deleted, or after a while: a job's end does not wait for ever.
    pub(super) fn poll_cleared(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.clearing.poll(cx);
        if self.clearing.under_way.is_empty() {
            return Poll::Ready(());
        }
        let clock = &self.resources.clock;
        self.clearing.patience.get_or_insert_with(|| clock.sleep(CLEARING)).as_mut().poll(cx)
    }
}

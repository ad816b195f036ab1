//! Lambda does not say when an invocation begins, and the suite has to know: so the stand-in is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rustwren_aws::LambdaInvoker;
use rustwren_core::error::BackendError;
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_core::protocol::invocation;
use rustwren_core::protocol::json::Enveloped;
use rustwren_testkit::standins::lambda::LambdaFront;

type Waiting = Arc<Mutex<HashMap<u64, Arc<dyn Events>>>>;

/// Reports the beginnings that the front sees.
pub(crate) struct Watched {
    invoker: LambdaInvoker,
    waiting: Waiting,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.invoker.fmt(f)
    }
}

impl Watched {
    pub(crate) fn new(invoker: LambdaInvoker, front: &LambdaFront) -> Self {
        let waiting = Waiting::default();
        let heard = Arc::clone(&waiting);
        front.on_invoke(move |payload| {
            let Enveloped(bytes) = serde_json::from_slice(payload).unwrap();
            let id = invocation::decode(&bytes).unwrap().id;
            if let Some(events) = heard.lock().unwrap().remove(&id) {
                events.started(id);
            }
        });
        Self { invoker, waiting }
    }
}

/// Forgets an invocation that is over, or dropped.
struct Forget<'a>(&'a Waiting, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

#[async_trait]
impl Invoker for Watched {
    fn limits(&self) -> &Limits {
        self.invoker.limits()
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let id = invocation.id;
        self.waiting.lock().unwrap().insert(id, Arc::clone(events));
        let _forget = Forget(&self.waiting, id);
        self.invoker.invoke(invocation, events).await
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.invoker.invoke_detached(invocation).await
    }

    async fn shutdown(&self) {
        self.invoker.shutdown().await;
    }
}

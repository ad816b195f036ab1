//! Chunks as invocations of an app of Azure Functions: as calls, or as messages of a storage queue.
//!
//! A call ends within 230 s, and so an invocation ends before: what it has done counts, and the scheduler sends the rest
//! as the next one. The queue knows no such limit; it is for tasks that alone take longer, and for detached jobs, whose
//! drivers outlive their clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::error::{BackendError, ErrorClass, Result};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_core::storage::Storage;
use rustwren_http::{Client, ClientOptions, HttpInvoker, Protocol};

use crate::config::{ComputeConfig, Trigger};

mod access;
mod factory;
mod queued;
mod watch;

pub use factory::FunctionsInvokerFactory;
use queued::Queued;

/// What a host puts in front of the paths of functions.
const PREFIX: &str = "/api";
/// Inputs of a call. Azure takes 210 MB; what is larger than this is better stored, for the case that it is sent again.
const MAX_INLINE_INPUT: usize = 8 << 20;
/// Results of a queued invocation that are part of its answer: three quarters of what the runtime makes it of.
const MAX_INLINE_OUTPUT: usize = 6 << 20;
/// First guesses at what an invocation costs beyond its tasks, until it is measured.
const CALL_OVERHEAD: Duration = Duration::from_millis(30);
const QUEUE_OVERHEAD: Duration = Duration::from_millis(500);
/// How long the beginning of an answer may take: as long as a call.
const ANSWER: Duration = Duration::from_secs(230);
const CONNECT: Duration = Duration::from_secs(30);
/// How long a connection is used for new calls.
const CONNECTION_AGE: Duration = Duration::from_mins(2);

/// Runs invocations in a function app.
pub struct FunctionsInvoker {
    limits: Limits,
    trigger: Trigger,
    /// None where jobs go by the queue alone.
    calls: Option<HttpInvoker>,
    queued: Queued,
}

impl fmt::Debug for FunctionsInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionsInvoker").field("trigger", &self.trigger).finish_non_exhaustive()
    }
}

impl FunctionsInvoker {
    /// An invoker that has not called anybody yet. Its workers must be able to read and write `storage`.
    pub fn new(config: &ComputeConfig, storage: Arc<dyn Storage>) -> Result<Self> {
        let mut limits = Limits::unlimited(config.workers);
        limits.ships_image = true;
        limits.platform = config.platform();
        limits.stragglers = true;
        limits.price = config.price;
        limits.stops_when_dropped = false;
        match config.trigger {
            Trigger::Http => {
                limits.max_inline_input = MAX_INLINE_INPUT;
                limits.max_duration = Some(config.timeout);
                limits.overhead = CALL_OVERHEAD;
            }
            Trigger::Queue => {
                limits.max_inline_input = queued::MAX_INLINE_INPUT;
                limits.max_inline_output = MAX_INLINE_OUTPUT;
                limits.max_duration = Some(config.queue_timeout);
                limits.overhead = QUEUE_OVERHEAD;
            }
        }
        // That of a call that waits for an instance, and whether Azure passes an answer on bit by bit, are not documented:
        // nothing is concluded from what is not heard.
        limits.reports_start = false;
        limits.heartbeat = None;
        let access = access::of(&config.auth, &config.access)?;
        let calls = access
            .map(|access| {
                let client = Client::new(&ClientOptions {
                    url: format!("{}{PREFIX}", config.url),
                    access,
                    calls: config.workers,
                    tls_ca: config.access.tls_ca.clone(),
                    protocol: Protocol::Auto,
                    connect_timeout: CONNECT,
                    connection_age: CONNECTION_AGE,
                })?;
                Ok::<_, rustwren_core::error::Error>(HttpInvoker::over(client, limits.clone(), ANSWER))
            })
            .transpose()?;
        let queued = Queued::new(config, storage);
        Ok(Self { limits, trigger: config.trigger, calls, queued })
    }
}

#[async_trait]
impl Invoker for FunctionsInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        match (self.trigger, &self.calls) {
            (Trigger::Queue, _) => self.queued.invoke(invocation, events).await,
            (Trigger::Http, Some(calls)) => calls.invoke(invocation, events).await,
            // The configuration sees to that there is one.
            (Trigger::Http, None) => {
                Err(BackendError::new(ErrorClass::Misconfigured, "calls need a function key"))
            }
        }
    }

    /// By the queue: the answer to a call would keep the client, and end within 230 s.
    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.queued.send_detached(invocation).await
    }

    async fn shutdown(&self) {
        if let Some(calls) = &self.calls {
            calls.shutdown().await;
        }
        self.queued.shutdown().await;
    }
}

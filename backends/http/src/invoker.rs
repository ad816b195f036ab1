//! Invocations on runtimes behind a URL, whatever platform they are on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use rustwren_core::error::{BackendError, ErrorClass, Result};
use rustwren_core::image::Platform;
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_core::protocol::calls::{DETACH, INVOKE};
use rustwren_core::protocol::{invocation, listener::Listener};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::{Chain, Client};
use crate::config::ComputeConfig;

/// What one invocation costs beyond its tasks' own time: a call through a balancer, two hashes of what is sent.
const OVERHEAD: Duration = Duration::from_millis(2);
/// A runtime says every ten seconds that an invocation is alive; what is in between may hold that up.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How an [`HttpInvoker`] is set up: the `[compute]` section.
pub type HttpOptions = ComputeConfig;

/// Runs invocations on runtimes behind a URL: of a fleet of anybody's, or with [`HttpInvoker::over`] of a platform that has
/// another manner of letting calls in.
#[derive(Debug)]
pub struct HttpInvoker {
    client: Client,
    limits: Limits,
    /// How long the beginning of an answer may take.
    timeout: Duration,
    /// Whether it was shut down.
    closed: watch::Sender<bool>,
}

impl HttpInvoker {
    /// An invoker that has made no call yet.
    pub fn new(options: &HttpOptions) -> Result<Self> {
        let mut limits = Limits::unlimited(options.workers);
        limits.max_inline_input = options.max_inline;
        limits.max_duration = options.max_duration;
        limits.overhead = OVERHEAD;
        limits.platform = Platform { name: "HTTP workers".to_owned(), ..Platform::this_machine() };
        Ok(Self::over(Client::new(&options.client)?, limits, options.timeout))
    }

    /// An invoker of a platform with limits of its own, on which the beginning of an answer may take so long. It reports
    /// beginnings and signs of life, and says so in its limits.
    pub fn over(client: Client, mut limits: Limits, timeout: Duration) -> Self {
        limits.ships_image = true;
        limits.reports_start = true;
        limits.heartbeat = Some(HEARTBEAT);
        Self { client, limits, timeout, closed: watch::Sender::new(false) }
    }

    /// Does this unless the invoker is shut down before it is done.
    async fn unless_closed<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let mut closed = self.closed.subscribe();
        let closing = async {
            if closed.wait_for(|closed| *closed).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = closing => Err(BackendError::new(ErrorClass::Cancelled, "the invoker was shut down")),
            done = work => done,
        }
    }

    /// Sends an invocation and waits for the beginning of the answer.
    async fn send(
        &self,
        target: &str,
        invocation: &Invocation,
    ) -> Result<hyper::Response<hyper::body::Incoming>, BackendError> {
        if invocation.count == 0 {
            return Err(BackendError::new(ErrorClass::Invalid, "an invocation has at least one element"));
        }
        let body = invocation::encode(invocation).map_err(|error| {
            BackendError::new(ErrorClass::Internal, "an invocation has no encoding").with_source(error)
        })?;
        let limit = self.timeout;
        timeout(limit, self.client.call("POST", target, Bytes::from(body))).await.unwrap_or_else(|_| {
            let message = format!("{} did not begin to answer within {limit:?}", self.client.place());
            Err(BackendError::new(ErrorClass::Transient, message))
        })
    }

    async fn run(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let response = self.send(INVOKE, &invocation).await?;
        if response.status() != StatusCode::OK {
            return Err(self.client.refused(response).await);
        }
        let mut listener = Listener::new(invocation.id, events);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    if let Some(bytes) = frame.data_ref() {
                        listener.hear(bytes)?;
                    }
                }
                Err(error) => return listener.cut_off(Chain(error)),
            }
        }
        listener.end()
    }
}

#[async_trait]
impl Invoker for HttpInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        self.unless_closed(self.run(invocation, events)).await
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.unless_closed(async {
            let response = self.send(DETACH, &invocation).await?;
            match response.status() {
                StatusCode::ACCEPTED => Ok(()),
                _ => Err(self.client.refused(response).await),
            }
        })
        .await
    }

    async fn shutdown(&self) {
        self.closed.send_replace(true);
    }
}

//! Chunks as requests to a Cloud Run service, or to a function, which is one too.
//!
//! What travels is what travels to any runtime over HTTP (`rustwren_http`), streamed both ways. Google's front ends let
//! calls in by their ID tokens, start instances for them, and have words of their own for what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind, Result};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_http::{Client, ClientOptions, HttpInvoker, Protocol};

use crate::config::functions::ComputeConfig;

mod access;
mod factory;

pub use factory::CloudRunInvokerFactory;

/// The longest request that Google takes.
const REQUEST: usize = 32 << 20;
/// The largest inputs that travel inside an invocation. A job's shared value may come on top with half of that, and what
/// names the job with a little more.
const MAX_INLINE_INPUT: usize = 20_000_000;
const _: () = assert!(MAX_INLINE_INPUT + MAX_INLINE_INPUT / 2 + (100 << 10) <= REQUEST);
/// First guess at what an invocation costs beyond its tasks, until it is measured: the way to the region and back, and
/// Google's own part.
const OVERHEAD: Duration = Duration::from_millis(25);
/// What an instance may take to start, and its runtime to fetch the program, which is charged. Nothing is promised.
const STARTUP: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(30);
const CONNECTION_AGE: Duration = Duration::from_mins(5);

/// Runs invocations in a Cloud Run service.
#[derive(Debug)]
pub struct CloudRunInvoker(HttpInvoker);

impl CloudRunInvoker {
    /// An invoker for the service at this address, that has not called anybody yet.
    pub fn new(config: &ComputeConfig, url: &str) -> Result<Self> {
        let client = ClientOptions {
            url: url.to_owned(),
            access: Arc::new(access::Google::new(config, url)),
            calls: config.workers,
            tls_ca: config.tls_ca.clone(),
            protocol: Protocol::Auto,
            connect_timeout: CONNECT,
            connection_age: CONNECTION_AGE,
        };
        client.check_url().map_err(|what| Error::new(ErrorKind::Config, format!("`compute.url` {what}")))?;
        let mut limits = Limits::unlimited(config.workers);
        limits.max_inline_input = MAX_INLINE_INPUT;
        limits.max_duration = Some(config.timeout);
        limits.overhead = OVERHEAD;
        limits.platform = config.platform();
        limits.stragglers = true;
        limits.price = config.price;
        limits.startup = STARTUP;
        // Whether Google passes on that a caller has left is not written anywhere.
        limits.stops_when_dropped = false;
        let invoker = HttpInvoker::over(Client::new(&client)?, limits, config.start_timeout);
        Ok(Self(invoker.with_longest_call(REQUEST)))
    }
}

#[async_trait]
impl Invoker for CloudRunInvoker {
    fn limits(&self) -> &Limits {
        self.0.limits()
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        self.0.invoke(invocation, events).await
    }

    /// An instance that has answered gets no more computing power, so nothing can go on there by itself.
    async fn invoke_detached(&self, _: Invocation) -> Result<(), BackendError> {
        let message = "Cloud Run takes computing power away from an instance that has answered, so a job cannot be driven there";
        Err(BackendError::new(ErrorClass::Invalid, message)
            .with_hint("run the job without `detached`, or drive it from a machine that stays up"))
    }

    async fn shutdown(&self) {
        self.0.shutdown().await;
    }
}

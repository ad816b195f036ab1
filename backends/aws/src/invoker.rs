//! Chunks as invocations of a Lambda function.
//!
//! An invocation travels as JSON, which is all that Invoke lets through: its bytes in base64 (see
//! [`rustwren_core::protocol::json`]). The answer comes back the same way and in one piece, so nothing is known of an
//! invocation between its dispatch and its end. What an account or a function has no room for Lambda refuses at once:
//! a call that is not refused is running.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, LogType};
use bytes::Bytes;
use rustwren_core::env;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Payload, Reply};
use rustwren_core::protocol::{invocation, json};
use rustwren_core::storage::{Key, Storage};
use tokio::sync::{OnceCell, watch};

use crate::client::Retries;
use crate::config::ComputeConfig;

mod answer;
mod connections;
mod factory;
mod refusal;

pub use factory::LambdaInvokerFactory;

/// The largest request and the largest answer of a synchronous invocation, in bytes of JSON.
const SYNC_JSON: usize = 6_291_456;
/// The largest request that is taken without waiting for its end.
const EVENT_JSON: usize = 1 << 20;
/// The largest inputs that travel inside an invocation. A job's shared value may come on top with half of that, and
/// what names the job with a little more; a third is for base64.
const MAX_INLINE_INPUT: usize = 3_000_000;
/// The largest results that travel inside a reply: the part that the runtime keeps for them, beside what stands for
/// stored ones and what tasks have printed.
const MAX_INLINE_OUTPUT: usize = json::room(SYNC_JSON) / 4 * 3;
const _: () = assert!(MAX_INLINE_INPUT + MAX_INLINE_INPUT / 2 + (100 << 10) <= json::room(SYNC_JSON));

/// First guess at what an invocation costs beyond its tasks, until it is measured: the way to the region and back, and
/// Lambda's own part.
const OVERHEAD: Duration = Duration::from_millis(25);
/// How long after its limit an invocation is still waited for: starting a worker does not count against the limit.
const GRACE: Duration = Duration::from_secs(30);

/// How long a worker may take before its first invocation, which Lambda bills on top of it; what the runtime does with the
/// invocation itself, fetching the program included, is within `timeout`.
const INIT: Duration = Duration::from_secs(10);

/// How long a connection may take to be made. Thousands that are made at once wait for each other's handshakes.
const CONNECT: Duration = Duration::from_secs(30);

/// What a worker's credentials are known by.
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";

/// Runs invocations in a Lambda function.
pub struct LambdaInvoker {
    limits: Limits,
    config: ComputeConfig,
    storage: Arc<dyn Storage>,
    /// Made with the first call, on the runtime that serves it.
    client: OnceCell<Client>,
    /// Whether the invoker is shut down.
    down: watch::Sender<bool>,
}

impl fmt::Debug for LambdaInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LambdaInvoker").field("function", &self.config.function).finish_non_exhaustive()
    }
}

impl LambdaInvoker {
    /// An invoker that has not called anybody yet. Its workers must be able to read and write `storage`.
    pub fn new(config: ComputeConfig, storage: Arc<dyn Storage>) -> Self {
        let mut limits = Limits::unlimited(config.workers);
        limits.max_inline_input = MAX_INLINE_INPUT;
        limits.max_inline_output = MAX_INLINE_OUTPUT;
        limits.max_duration = Some(config.timeout);
        limits.overhead = OVERHEAD;
        limits.ships_image = true;
        limits.platform = config.platform();
        limits.stragglers = true;
        limits.price = config.price;
        limits.stops_when_dropped = false;
        limits.startup = INIT;
        crate::files::room_for(config.workers);
        Self { limits, config, storage, client: OnceCell::new(), down: watch::Sender::new(false) }
    }

    async fn client(&self) -> Result<&Client, BackendError> {
        self.client.get_or_try_init(|| self.make_client()).await
    }

    /// Apart from the futures of invocations, of which there are thousands, each with room for this one if it were inside.
    fn make_client(&self) -> Pin<Box<dyn Future<Output = Result<Client, BackendError>> + Send + '_>> {
        Box::pin(async {
            let shared = self.config.access.load(Retries::Caller).await;
            if shared.region().is_none() {
                return Err(refusal::no_region());
            }
            let limit = self.config.timeout + GRACE;
            let timeouts = TimeoutConfig::builder().operation_timeout(limit).build();
            let needs_tls = shared.endpoint_url().is_none_or(|url| !url.starts_with("http://"));
            let http = connections::client(needs_tls, CONNECT).map_err(|error| {
                BackendError::new(ErrorClass::Misconfigured, self.attempt())
                    .with_source(error)
                    .with_hint("install the package `ca-certificates`")
            })?;
            // A function may take minutes before it says a word; the time-out is what ends a call.
            let config = aws_sdk_lambda::config::Builder::from(&shared)
                .timeout_config(timeouts)
                .http_client(http)
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .build();
            Ok(Client::from_conf(config))
        })
    }

    /// What is attempted, for messages.
    fn attempt(&self) -> String {
        format!("invoking the Lambda function {}", self.config.function)
    }

    fn too_large(&self, invocation: &Invocation, len: usize, most: usize) -> BackendError {
        let message = format!(
            "{} for {} elements of job {}: the request has {len} bytes, and Lambda takes {most}",
            self.attempt(),
            invocation.count,
            invocation.job.label
        );
        BackendError::new(ErrorClass::Invalid, message)
    }

    async fn call(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let body = to_json(&invocation)?;
        if body.len() > SYNC_JSON {
            return Err(self.too_large(&invocation, body.len(), SYNC_JSON));
        }
        let id = invocation.id;
        // The scheduler has the inputs; nothing here needs them while they are under way.
        drop(invocation);
        let request = self.client().await?.invoke().function_name(&self.config.function);
        // The tail tells why, where a worker died.
        let request = request.log_type(LogType::Tail).payload(Blob::new(body));
        // Of thousands of calls that begin at once, tokio would have some 50 begin before all others wait for the network to
        // be looked after, and that each time: it costs a call a sixth of its processor time (decision 14).
        let answer = tokio::task::unconstrained(request.send());
        let output = answer.await.map_err(|error| refusal::classed(&error, &self.attempt()))?;
        answer::read(output, id, events, &self.attempt())
    }

    /// A driver that cannot call anybody would fail where nobody hears it.
    fn no_credentials(&self) -> BackendError {
        let message = format!(
            "{}: a detached job is driven there, and the worker keeps its credentials from tasks",
            self.attempt()
        );
        BackendError::new(ErrorClass::Misconfigured, message).with_hint(
            "set `pass_env = [\"AWS_*\"]` in [compute] and run `rustwren setup`; or use a durable job, which this program \
             drives",
        )
    }

    /// The same invocation with its inputs in storage.
    async fn spilled(&self, mut invocation: Invocation) -> Result<Invocation, BackendError> {
        if let Payload::Inline(parts) = &invocation.inputs {
            let key = format!("jobs/{}/spill/event-{:016x}", invocation.job.id, fastrand::u64(..));
            let bytes = Bytes::from(parts.concat());
            let len = bytes.len() as u64;
            self.storage.put(&Key::new(&*key)?, bytes).await?;
            invocation.inputs = Payload::Stored { key, offset: 0, len };
        }
        Ok(invocation)
    }
}

#[async_trait]
impl Invoker for LambdaInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let mut down = self.down.subscribe();
        tokio::select! {
            biased;
            _ = down.wait_for(|down| *down) => {
                let message = format!("{}: the invoker was shut down", self.attempt());
                Err(BackendError::new(ErrorClass::Cancelled, message))
            }
            reply = self.call(invocation, events) => reply,
        }
    }

    /// As an `Event`: Lambda answers once it has queued it. Whatever has to be tried again afterwards is up to whoever
    /// watches the job; `rustwren setup` keeps Lambda from trying by itself.
    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        if invocation.job.entry.drives() && env::is_withheld(ACCESS_KEY.as_ref(), &self.config.pass_env) {
            return Err(self.no_credentials());
        }
        let mut body = to_json(&invocation)?;
        if body.len() > EVENT_JSON {
            let spilled = self.spilled(invocation).await?;
            body = to_json(&spilled)?;
            if body.len() > EVENT_JSON {
                return Err(self.too_large(&spilled, body.len(), EVENT_JSON));
            }
        }
        let request = self.client().await?.invoke().function_name(&self.config.function);
        let request = request.invocation_type(InvocationType::Event).payload(Blob::new(body));
        request.send().await.map_err(|error| refusal::classed(&error, &self.attempt()))?;
        Ok(())
    }

    async fn shutdown(&self) {
        self.down.send_replace(true);
    }
}

fn to_json(invocation: &Invocation) -> Result<Vec<u8>, BackendError> {
    let bytes = invocation::encode(invocation).map_err(|error| {
        BackendError::new(ErrorClass::Internal, "an invocation cannot be encoded").with_source(error)
    })?;
    Ok(json::to_json(&bytes))
}

//! [`InstantInvoker`]: a provider that takes no time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Payload, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, append_result, split_input};

/// An invoker in memory that answers each element with its own encoded input, after every other invocation that
/// was under way has had its turn. What a job over it costs is what the client itself costs.
///
/// Outputs are the inputs' bytes: map a function whose output is encoded as its input is.
#[derive(Debug)]
pub struct InstantInvoker {
    limits: Limits,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl InstantInvoker {
    /// An invoker that takes this many invocations at once.
    pub fn new(concurrency: usize) -> Self {
        Self {
            limits: Limits::unlimited(concurrency),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// The most invocations that were under way at once.
    pub fn most_under_way(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

/// Gives up the thread once.
async fn once_around() {
    let first = AtomicBool::new(true);
    std::future::poll_fn(|cx| {
        if first.swap(false, Ordering::Relaxed) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(())
    })
    .await;
}

fn echo(count: u32, inputs: &[Bytes]) -> Result<Bytes, BackendError> {
    let joined;
    let bytes: &[u8] = match inputs {
        [one] => one,
        several => {
            joined = several.concat();
            &joined
        }
    };
    let mut out = Vec::with_capacity(bytes.len() + 4 * count as usize);
    let mut at = 0;
    for _ in 0..count {
        let (body, len) = split_input(&bytes[at..])
            .map_err(|error| BackendError::new(ErrorClass::Internal, error.to_string()))?;
        at += len;
        let appended = append_result(&mut out, ResultTag::Output, |out| {
            out.extend_from_slice(body);
            Ok::<(), Infallible>(())
        });
        match appended {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
    Ok(out.into())
}

#[async_trait]
impl Invoker for InstantInvoker {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn invoke(&self, invocation: Invocation, _: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        once_around().await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let Payload::Inline(inputs) = &invocation.inputs else {
            return Err(BackendError::new(ErrorClass::Invalid, "this invoker reads no storage"));
        };
        let records = echo(invocation.count, inputs)?;
        let results = vec![ResultBatch { offset: 0, count: invocation.count, records }];
        Ok(Reply { results, ..Reply::default() })
    }

    async fn invoke_detached(&self, _: Invocation) -> Result<(), BackendError> {
        Err(BackendError::new(ErrorClass::Invalid, "this invoker keeps nothing"))
    }

    async fn shutdown(&self) {}
}

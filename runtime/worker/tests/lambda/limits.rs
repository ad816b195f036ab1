//! What travels how, at the limits of Lambda.

use std::sync::Arc;
use std::time::Duration;

use rustwren_aws::LambdaInvoker;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Invoker as _, LogLine, Reply, ResultBatch};
use rustwren_core::storage::StorageExt as _;
use rustwren_testkit::invoker_suite::{invocation, program};

use crate::place::Place;

/// An unoptimised build on a busy machine takes its time over megabytes.
const TIMEOUT: Duration = Duration::from_mins(1);

struct Ignore;

impl Events for Ignore {
    fn results(&self, _: u64, _: ResultBatch) {}
    fn started(&self, _: u64) {}
    fn log(&self, _: u64, _: LogLine) {}
}

/// An echo of one element with so many bytes.
fn echo(place: &Place, len: usize) -> Invocation {
    invocation(&program::functions(place.image).echo, &[vec![7; len]])
}

async fn invoke(invoker: &LambdaInvoker, invocation: Invocation) -> Result<Reply, BackendError> {
    let events: Arc<dyn Events> = Arc::new(Ignore);
    invoker.invoke(invocation, &events).await
}

/// More than Lambda takes is not sent, and what it takes arrives.
pub(crate) async fn requests() {
    let place = Place::new(1, TIMEOUT).await;
    let invoker = place.invoker("1");
    // Base64 makes 6 291 456 bytes of these, with the invocation's head and the envelope.
    let most = 6_291_456 / 4 * 3;
    assert!(invoke(&invoker, echo(&place, most - 500)).await.unwrap().stopped.is_none());
    let before = place.front.seen().calls;
    let error = invoke(&invoker, echo(&place, most)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
    assert_eq!(place.front.seen().calls, before);
}

/// Inputs too large for an `Event` are stored, others are not.
pub(crate) async fn events() {
    let place = Place::new(1, TIMEOUT).await;
    let invoker = place.invoker("1");
    let most = (1 << 20) / 4 * 3;
    for (len, stored) in [(most - 500, 0), (most, 1), (3 << 20, 2)] {
        let over = place.front.seen().events_over;
        invoker.invoke_detached(echo(&place, len)).await.unwrap();
        place.front.wait_until(|seen| seen.events_over > over).await;
        let objects = place.storage.list_all("jobs/suite-echo/spill/").await.unwrap();
        assert_eq!(objects.len(), stored, "{len}");
    }
}

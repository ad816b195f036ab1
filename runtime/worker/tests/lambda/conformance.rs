//! The invoker suite over Lambda.

use std::sync::Arc;
use std::time::Duration;

use rustwren_testkit::invoker_suite::{Subject, program, run_all};

use crate::place::Place;
use crate::watched::Watched;

/// How long the suite's endless invocations last: Lambda lets nobody cancel one.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What the client is allowed, and how many of its dropped invocations may still be running at the end.
const WORKERS: usize = 2;
const LEFT_OVER: usize = 16;

pub(crate) async fn suite() {
    let place = Place::new(WORKERS + LEFT_OVER, TIMEOUT).await;
    let invoker = Watched::new(place.invoker(&WORKERS.to_string()), &place.front);
    let subject = Subject {
        invoker: Arc::new(invoker),
        storage: Arc::clone(&place.storage),
        functions: program::functions(place.image),
    };
    run_all(&subject, &[]).await;
}

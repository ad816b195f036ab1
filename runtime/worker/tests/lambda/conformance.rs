//! The invoker suite over Lambda.

use std::sync::Arc;

use rustwren_testkit::invoker_suite::{Subject, program, run_all};

use crate::TIMEOUT;
use crate::place::Place;
use crate::watched::Watched;

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

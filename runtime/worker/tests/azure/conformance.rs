//! The invoker suite over a function app.

use std::sync::Arc;

use rustwren_testkit::invoker_suite::{Subject, program, run_all};

use crate::place::{Place, Plan};

/// What the client is allowed: each instance takes one.
const WORKERS: usize = 2;

async fn suite(trigger: &'static str) {
    // With a queue there may be more of those that nobody waits for any more, until they notice.
    let instances = if trigger == "queue" { 3 * WORKERS } else { WORKERS };
    let place = Place::new(Plan { instances, queue: trigger == "queue", ..Plan::default() }).await;
    let subject = Subject {
        invoker: Arc::new(place.invoker(trigger, WORKERS)),
        storage: Arc::clone(&place.storage),
        functions: program::functions(place.image),
    };
    run_all(&subject, &[]).await;
    assert!(place.host.seen().most_running.iter().all(|&most| most <= 1), "{:?}", place.host.seen());
}

pub(crate) async fn calls() {
    suite("http").await;
}

pub(crate) async fn queue() {
    suite("queue").await;
}

//! The suite of invokers fails for invokers that break their contract.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use rustwren_core::error::BackendError;
use rustwren_core::invoker::{Events, Invocation, Invoker, Limits, Reply};
use rustwren_core::storage::MemoryStorage;
use rustwren_testkit::InstantInvoker;
use rustwren_testkit::invoker_suite::{
    Functions, Subject, deaths_are_blamed, failures_are_results, results_come_back,
};
use rustwren_testkit::sim::{SimClock, SimExecutor};

/// What is wrong with an invoker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    LosesTheLast,
    TellsTwice,
    ShiftsPlaces,
    ReportsAfterTheReply,
    ReportsForAnother,
}

/// An echo with a fault.
struct Faulty {
    echo: InstantInvoker,
    fault: Fault,
    before: Mutex<Option<(u64, Arc<dyn Events>)>>,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

#[async_trait]
impl Invoker for Faulty {
    fn limits(&self) -> &Limits {
        self.echo.limits()
    }

    async fn invoke(&self, invocation: Invocation, events: &Arc<dyn Events>) -> Result<Reply, BackendError> {
        let id = invocation.id;
        let mut reply = self.echo.invoke(invocation, events).await?;
        let batch = reply.results[0].clone();
        match self.fault {
            Fault::Nothing => {}
            Fault::LosesTheLast if batch.count > 1 => reply.results[0].count -= 1,
            Fault::LosesTheLast => reply.results.clear(),
            Fault::TellsTwice => events.results(id, batch),
            Fault::ShiftsPlaces => reply.results[0].offset += 1,
            Fault::ReportsForAnother => events.results(id + 1, batch),
            Fault::ReportsAfterTheReply => {
                if let Some((id, events)) = self.before.lock().unwrap().take() {
                    events.started(id);
                }
                *self.before.lock().unwrap() = Some((id, Arc::clone(events)));
            }
        }
        Ok(reply)
    }

    async fn invoke_detached(&self, invocation: Invocation) -> Result<(), BackendError> {
        self.echo.invoke_detached(invocation).await
    }

    async fn shutdown(&self) {}
}

fn subject(fault: Fault) -> Subject {
    let invoker = Faulty { echo: InstantInvoker::echo(4), fault, before: Mutex::default() };
    Subject {
        invoker: Arc::new(invoker),
        storage: Arc::new(MemoryStorage::new()),
        functions: Functions::by_name(),
    }
}

fn passes(check: impl Future<Output = ()>) -> bool {
    let mut executor = SimExecutor::new(SimClock::new(), 1);
    executor.block_on(AssertUnwindSafe(check).catch_unwind()).unwrap().is_ok()
}

#[test]
fn wrong_results_are_noticed() {
    assert!(passes(results_come_back(&subject(Fault::Nothing))));
    for fault in [
        Fault::LosesTheLast,
        Fault::TellsTwice,
        Fault::ShiftsPlaces,
        Fault::ReportsForAnother,
        Fault::ReportsAfterTheReply,
    ] {
        assert!(!passes(results_come_back(&subject(fault))), "{fault:?}");
    }
}

#[test]
fn failures_that_nobody_tells_are_noticed() {
    assert!(!passes(failures_are_results(&subject(Fault::Nothing))));
    assert!(!passes(deaths_are_blamed(&subject(Fault::Nothing))));
}

//! The front end on AWS Lambda, on `lambda_runtime`: one invocation at a time, each a JSON envelope (Lambda lets
//! nothing else through) around the bytes of an invocation, answered in one piece.
//!
//! The init phase does no more than ask for the first invocation: Lambda limits it to ten seconds and charges for
//! it. The configuration is read, the storage's client made and the program fetched with the invocation that needs
//! them. What cannot work (a bucket that does not exist, say) is answered to the client, who can do something about
//! it, and does not end the worker.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use rustwren_core::env;
use rustwren_core::error::BackendError;
use rustwren_core::protocol::answer::{Answer, PREAMBLE};
use rustwren_core::protocol::invocation;
use rustwren_core::protocol::json::{self, Enveloped};
use rustwren_runtime::Life;
use rustwren_runtime::host::{Host, Room};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OnceCell, watch};

use crate::task_log;

mod setting;

/// The largest answer that Lambda takes, in bytes of JSON.
const ANSWER: usize = 6_291_456;
/// The part of an invocation's time, and the bounds of it, that is left to store what is large and to pass the answer
/// on.
const SHARE: u32 = 10;
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(2);
/// How long elements may go on once Lambda has said that it ends the worker. It waits half a second.
const LAST_WORK: Duration = Duration::from_millis(250);
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Whether this process was started by Lambda.
pub fn is_here() -> bool {
    env::AWS_LAMBDA_RUNTIME_API.get().is_some()
}

/// Serves invocations until Lambda ends the worker.
pub fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(serve()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rustwren-runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), String> {
    setting::check()?;
    crate::log::start().map_err(|error| error.to_string())?;
    let worker = Arc::new(Worker { host: OnceCell::new(), busy: watch::Sender::new(false) });
    let service = service_fn(|event: LambdaEvent<Enveloped>| {
        let worker = Arc::clone(&worker);
        async move { Ok::<_, Diagnostic>(worker.answer(event).await) }
    });
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut serving = std::pin::pin!(lambda_runtime::run(service));
    let served = tokio::select! {
        served = &mut serving => served,
        _ = terminate.recv() => tokio::select! {
            served = &mut serving => served,
            () = worker.wind_down() => Ok(()),
        },
    };
    if let Some(host) = worker.host.get() {
        host.shutdown();
    }
    served.map_err(|error| error.to_string())
}

struct Worker {
    host: OnceCell<Host>,
    busy: watch::Sender<bool>,
}

impl Worker {
    async fn answer(&self, event: LambdaEvent<Enveloped>) -> Enveloped {
        let LambdaEvent { payload: Enveloped(bytes), context } = event;
        let life = life(context.deadline());
        self.busy.send_replace(true);
        let answer = self.answer_in(&bytes, life).await;
        self.busy.send_replace(false);
        Enveloped(answer.unwrap_or_else(|error| {
            let mut answer = PREAMBLE.to_vec();
            Answer::append_refused(&mut answer, &error);
            answer
        }))
    }

    async fn answer_in(&self, bytes: &[u8], life: Life) -> Result<Vec<u8>, BackendError> {
        let invocation = invocation::decode(bytes)?;
        let host = self.host.get_or_try_init(|| async {
            Ok::<_, BackendError>(setting::host().await?.heard_by(task_log::print))
        });
        Ok(host.await?.answer(invocation, life, Room::body(json::room(ANSWER))).await)
    }

    /// Hands back what is finished, if there is anything under way, and leaves it the time to get out.
    async fn wind_down(&self) {
        let mut busy = self.busy.subscribe();
        if !*busy.borrow_and_update() {
            return;
        }
        if let Some(host) = self.host.get() {
            host.wind_down(Instant::now() + LAST_WORK);
        }
        // After the answer is made it is still to be sent; then `lambda_runtime` asks for the next one and waits.
        drop(tokio::time::timeout(LAST_WORK + LAST_WORDS, busy.wait_for(|busy| !*busy)).await);
        tokio::time::sleep(LAST_WORDS).await;
    }
}

/// Until when elements may run.
fn life(deadline: std::time::SystemTime) -> Life {
    #[expect(clippy::disallowed_methods, reason = "Lambda tells the deadline by the clock on the wall")]
    let left = deadline.duration_since(std::time::SystemTime::now()).unwrap_or_default();
    let reserve = (left / SHARE).clamp(LEAST, MOST);
    Life::Until(Instant::now() + left.saturating_sub(reserve))
}

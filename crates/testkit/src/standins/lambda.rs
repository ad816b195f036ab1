//! AWS Lambda's Invoke API in front of real execution environments: each is one process of the official Runtime
//! Interface Emulator with a bootstrap under it, started when a call finds no idle one.
//!
//! The emulator brings the Runtime API, time-outs, crashes and restarts. What it lacks is added here, **as we read the
//! published contract**, and so proves no more than that the client and this reading agree: concurrency and its 429
//! with reasons, the payload limits and their 413, `X-Amz-Function-Error`, log tails, `Event` with retries, `DryRun`,
//! functions that do not exist, faults on demand. A signature must be there; whether it is right is not looked at.

#![expect(clippy::panic, reason = "a stand-in that does not work fails the test that uses it")]

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

mod api;
mod deployed;
mod environment;

use environment::Environment;

/// The emulator's place; the version is that of the package it comes in.
const EMULATOR: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/aws-lambda-rie/aws-lambda-rie-1.170.0");

/// A deployed function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program that its environments run.
    pub bootstrap: PathBuf,
    /// How long one invocation may take; whole seconds.
    pub timeout: Duration,
    /// What the environment is told of its memory. Nothing holds it to that.
    pub memory_mb: u32,
    /// The environment variables of the function; it sees no others but Lambda's own and `PATH`.
    pub environment: Vec<(String, String)>,
    /// How many invocations run at once; further ones are throttled.
    pub concurrency: usize,
    /// How often an `Event` is tried again after its function has failed. The real service waits minutes in between.
    pub event_retries: u32,
}

/// What becomes of a call that is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 with this reason.
    Throttled {
        /// `Reason` in the body.
        reason: &'static str,
        /// `Retry-After` in seconds.
        retry_after: Option<u64>,
    },
    /// An error of the service.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error's name.
        kind: &'static str,
        /// Its message.
        message: &'static str,
    },
    /// The connection is closed before anything happens.
    Reset,
    /// The function runs, and the connection is closed in place of an answer.
    LostAnswer,
}

/// What the front has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Calls, whatever became of them.
    pub calls: u64,
    /// Calls that were throttled for want of concurrency.
    pub throttled: u64,
    /// Invocations that ran, `Event`s included.
    pub invocations: u64,
    /// Invocations that run now.
    pub running: usize,
    /// The most that ran at once.
    pub most_running: usize,
    /// `Event`s that are over, the last try included.
    pub events_over: u64,
    /// Environments started.
    pub environments: usize,
}

type OnInvoke = Arc<dyn Fn(&[u8]) + Send + Sync>;

#[derive(Default)]
struct State {
    seen: Seen,
    idle: Vec<Environment>,
    children: Vec<tokio::process::Child>,
    faults: VecDeque<Fault>,
    /// How many invocations there may be before the function is gone.
    gone_at: Option<u64>,
    on_invoke: Option<OnInvoke>,
}

impl State {
    fn is_gone(&self) -> bool {
        self.gone_at.is_some_and(|at| self.seen.invocations >= at)
    }
}

/// What all connections share.
struct Shared {
    function: Function,
    emulator: PathBuf,
    state: Mutex<State>,
    /// Rung whenever an environment is free again or something is over.
    changed: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running front. Dropping it ends its environments.
pub struct LambdaFront {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for LambdaFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LambdaFront")
            .field("address", &self.address)
            .field("seen", &self.seen())
            .finish_non_exhaustive()
    }
}

impl LambdaFront {
    /// Starts it, with a thread of its own.
    ///
    /// # Panics
    ///
    /// When the emulator is not installed or no port can be had.
    pub fn start(function: Function) -> Self {
        let emulator = PathBuf::from(EMULATOR);
        assert!(
            emulator.exists(),
            "Lambda's emulator is not installed: run scripts/test once (with any arguments), which puts it into .cache"
        );
        let state = Mutex::default();
        let shared = Arc::new(Shared { function, emulator, state, changed: Notify::new() });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("a runtime for the front: {error}"));
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.unwrap_or_else(|error| panic!("a port for the front: {error}"));
                drop(tell.send(listener.local_addr()));
                tokio::select! {
                    () = api::serve(listener, Arc::clone(&served)) => {}
                    _ = stopped => {}
                }
                let children = std::mem::take(&mut served.state().children);
                environment::end(children).await;
            });
        });
        let address = match told.recv() {
            Ok(Ok(address)) => address,
            other => panic!("the front does not listen: {other:?}"),
        };
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The address that clients call in place of the service's.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same as an address, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Has the next call that has no other fault end so.
    pub fn fail_next(&self, fault: Fault) {
        self.shared.state().faults.push_back(fault);
    }

    /// Deletes the function after so many more invocations: it exists no more for further calls.
    pub fn delete_function_after(&self, invocations: u64) {
        let mut state = self.shared.state();
        state.gone_at = Some(state.seen.invocations + invocations);
    }

    /// Takes the deletion back.
    pub fn deploy_function(&self) {
        self.shared.state().gone_at = None;
    }

    /// Has this called with the payload of each invocation that comes to an environment.
    pub fn on_invoke(&self, heard: impl Fn(&[u8]) + Send + Sync + 'static) {
        self.shared.state().on_invoke = Some(Arc::new(heard));
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.state().seen
    }

    /// Waits until what it has seen is as wanted.
    pub async fn wait_until(&self, wanted: impl Fn(&Seen) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if wanted(&self.seen()) {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for LambdaFront {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the front of Lambda panicked");
        }
    }
}

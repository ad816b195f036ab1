//! A host of Azure Functions for custom handlers. **It is ours**: Microsoft's own cannot be had without fetching it from
//! Microsoft's servers at run time. It follows the documented contract and, where that is silent, the published source of
//! the real host, and so proves no more than that our runtime and this reading agree:
//!
//! - <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>: the handler's port in
//!   `FUNCTIONS_CUSTOMHANDLER_PORT`, proxied HTTP requests (`enableProxyingHttpRequest`), `POST /<function>` with `Data` and
//!   `Metadata` for other triggers, answers with `Outputs`, `Logs` and `ReturnValue`;
//! - <https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue>: `batchSize`, `maxDequeueCount`,
//!   the poison queue, message encoding, metadata;
//! - <https://learn.microsoft.com/azure/azure-functions/function-keys-how-to>: `x-functions-key`;
//! - <https://learn.microsoft.com/azure/azure-functions/functions-scale>: HTTP answers within 230 seconds;
//! - <https://github.com/Azure/azure-functions-host>: `GET /` every 25 ms for up to 30 s until the handler answers; three
//!   crashes of it, and it is not started again.
//!
//! What the platform around a host does is here as well: several instances behind one address, each with at most so many
//! invocations at once; what finds none free waits.

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

mod front;
mod instance;
mod package;
mod queue;
mod trigger;

use instance::Instance;
pub use package::Queues;

/// A deployed function app: one function with an HTTP trigger, and perhaps one with a queue trigger.
#[derive(Debug, Clone)]
pub struct FunctionApp {
    /// The custom handler.
    pub handler: PathBuf,
    /// App settings; the handler sees no other variables but the host's own and `PATH`.
    pub settings: Vec<(String, String)>,
    /// The path of the function with the HTTP trigger, as in `/api/v1/invoke`.
    pub http_path: String,
    /// The function key; without it calls are refused.
    pub key: String,
    /// How many instances there are.
    pub instances: usize,
    /// Invocations at once in each instance.
    pub per_instance: usize,
    /// How long an answer to a call may take; 230 s on Azure.
    pub http_limit: Duration,
    /// The function with the queue trigger.
    pub queue: Option<QueueTrigger>,
    /// Where lines go that handlers print; those of none go where this program's go.
    pub console: Option<Console>,
}

/// Is told each line that a handler prints, as the real host logs it (`WorkerProcess.cs`): on which instance, and what. It is
/// called by the host's own thread, and must not keep it.
#[derive(Clone)]
pub struct Console(Arc<Line>);

type Line = dyn Fn(usize, &str) + Send + Sync;

impl Console {
    /// One that does this with a line.
    pub fn new(line: impl Fn(usize, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(line))
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
    }
}

/// A function that is called with the messages of a queue.
#[derive(Debug, Clone)]
pub struct QueueTrigger {
    /// The function's name.
    pub function: String,
    /// The queue's URL, without a slash at its end.
    pub url: String,
    /// The URL of `<queue>-poison`.
    pub poison_url: String,
    /// The query that lets in: a shared access signature.
    pub sas: String,
    /// `maxDequeueCount`.
    pub max_dequeue: u32,
    /// Whether the message's text comes JSON-encoded twice, as the host's source has it, or once, as the documentation
    /// shows it.
    pub encoded_twice: bool,
}

/// What becomes of a call that is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, from whatever stands in front of the host, and this `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// The connection is closed before anything happens.
    Reset,
    /// The call reaches the handler, and the connection is closed in place of the answer.
    LostAnswer,
}

/// What the host has seen so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Calls, whatever became of them.
    pub calls: u64,
    /// Calls without the right key.
    pub denied: u64,
    /// Calls and messages that were handed to a handler.
    pub invocations: u64,
    /// Of these, messages.
    pub messages: u64,
    /// Calls that took longer than they may.
    pub cut_off: u64,
    /// Messages that went to the poison queue.
    pub poisoned: u64,
    /// Handlers that were started.
    pub started: u64,
    /// The most that ran at once, in each instance.
    pub most_running: Vec<usize>,
}

#[derive(Default)]
struct State {
    seen: Seen,
    instances: Vec<Instance>,
    faults: VecDeque<Fault>,
}

/// What all connections share.
struct Shared {
    app: FunctionApp,
    state: Mutex<State>,
    /// Rung whenever there is room in an instance, or anything else has changed.
    changed: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.notify_waiters();
        changed
    }

    /// Waits until this gives something.
    async fn until<T>(&self, mut wanted: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = wanted(&mut self.state()) {
                return found;
            }
            changed.await;
        }
    }
}

/// The running host. Dropping it ends its handlers.
pub struct FunctionsHost {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for FunctionsHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionsHost")
            .field("address", &self.address)
            .field("seen", &self.seen())
            .finish_non_exhaustive()
    }
}

impl FunctionsHost {
    /// Makes the app's queues, and starts it, with a thread of its own. Calls and messages wait until the handlers are up.
    ///
    /// # Panics
    ///
    /// When no port can be had, or the queues cannot be made.
    pub fn start(app: FunctionApp) -> Self {
        let mut state = State::default();
        state.seen.most_running = vec![0; app.instances];
        let shared = Arc::new(Shared { app, state: Mutex::new(state), changed: Notify::new() });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("a runtime for the host: {error}"));
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.unwrap_or_else(|error| panic!("a port for the host: {error}"));
                if let Some(queue) = &served.app.queue {
                    trigger::make_queues(queue).await;
                }
                drop(tell.send(listener.local_addr()));
                let mut handlers = instance::start_all(&served);
                let polling = async {
                    match served.app.queue.clone() {
                        Some(queue) => trigger::poll(Arc::clone(&served), queue).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = front::serve(listener, Arc::clone(&served)) => {}
                    () = polling => {}
                    _ = stopped => {}
                }
                // Aborted, each kills its child; waited for, so that no child outlives the test.
                handlers.shutdown().await;
            });
        });
        let address = match told.recv() {
            Ok(Ok(address)) => address,
            other => panic!("the host does not listen: {other:?}"),
        };
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The address in place of `https://<app>.azurewebsites.net`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has the next call that has no other fault end so.
    pub fn fail_next(&self, fault: Fault) {
        self.shared.state().faults.push_back(fault);
    }

    /// Kills the handler of an instance, as if its machine were gone. The host starts another.
    pub fn kill_handler(&self, instance: usize) {
        let kill = self.shared.state().instances.get(instance).map(|instance| Arc::clone(&instance.kill));
        if let Some(kill) = kill {
            kill.notify_one();
        }
    }

    /// The process of an instance's handler, while there is one.
    pub fn handler(&self, instance: usize) -> Option<u32> {
        self.shared.state().instances.get(instance)?.pid
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.state().seen.clone()
    }

    /// Waits until what it has seen is as wanted.
    pub async fn wait_until(&self, wanted: impl Fn(&Seen) -> bool) {
        self.shared.until(|state| wanted(&state.seen).then_some(())).await;
    }
}

impl Drop for FunctionsHost {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the host of functions panicked");
        }
    }
}

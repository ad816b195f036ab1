//! One instance: a custom handler, which is started anew when it ends, and the invocations that it has.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Console, Shared};

/// How often a handler is asked whether it is up, and for how long.
const ASK: Duration = Duration::from_millis(25);
const START: Duration = Duration::from_secs(30);
/// After so many crashes a handler is given up.
const CRASHES: u32 = 3;

/// An instance as the host knows it.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// Where its handler listens, once it is up.
    address: Option<SocketAddr>,
    pub(super) pid: Option<u32>,
    running: usize,
    /// It is not started again.
    given_up: bool,
    pub(super) kill: Arc<Notify>,
}

/// A place in an instance for one invocation, until dropped.
pub(super) struct Slot {
    shared: Arc<Shared>,
    instance: usize,
    pub(super) address: SocketAddr,
}

impl Slot {
    /// Waits for a place for an invocation.
    pub(super) async fn take(shared: &Arc<Shared>) -> Option<Self> {
        let slot = Self::free(shared).await?;
        slot.count();
        Some(slot)
    }

    /// An invocation has come to the place.
    pub(super) fn count(&self) {
        self.shared.change(|state| state.seen.invocations += 1);
    }

    /// The invocation has taken longer than it may.
    pub(super) fn cut_off(&self) {
        self.shared.change(|state| state.seen.cut_off += 1);
    }

    /// Waits for a place in the instance with the fewest invocations. None when all are given up.
    pub(super) async fn free(shared: &Arc<Shared>) -> Option<Self> {
        let most = shared.app.per_instance;
        let found = shared.until(|state| {
            if state.instances.iter().all(|instance| instance.given_up) {
                return Some(None);
            }
            let up = state.instances.iter_mut().enumerate();
            let up = up.filter(|(_, instance)| instance.address.is_some() && instance.running < most);
            let (index, instance) = up.min_by_key(|(_, instance)| instance.running)?;
            instance.running += 1;
            let (address, running) = (instance.address?, instance.running);
            let before = &mut state.seen.most_running[index];
            *before = running.max(*before);
            Some(Some((index, address)))
        });
        let (instance, address) = found.await?;
        shared.changed.notify_waiters();
        Some(Self { shared: Arc::clone(shared), instance, address })
    }

    /// Hands a request to the handler.
    pub(super) async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, String>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        send(self.address, request).await
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.change(|state| state.instances[self.instance].running -= 1);
    }
}

async fn send<B>(address: SocketAddr, mut request: Request<B>) -> Result<Response<Incoming>, String>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let failed = |error: &dyn std::error::Error| format!("the handler at {address}: {error}");
    let host = address.to_string().parse().map_err(|error| failed(&error))?;
    request.headers_mut().insert(HOST, host);
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // It ends with the answer, or with whoever drops it.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| failed(&error))
}

/// Starts all handlers. They are killed with what is returned.
pub(super) fn start_all(shared: &Arc<Shared>) -> JoinSet<()> {
    let count = shared.app.instances;
    shared.state().instances = (0..count).map(|_| Instance::default()).collect();
    let mut handlers = JoinSet::new();
    for index in 0..count {
        handlers.spawn(keep_up(Arc::clone(shared), index));
    }
    handlers
}

async fn keep_up(shared: Arc<Shared>, index: usize) {
    let kill = Arc::clone(&shared.state().instances[index].kill);
    let mut crashes = 0;
    while crashes < CRASHES {
        match start(&shared, index).await {
            Ok((mut child, address)) => {
                shared.change(|state| {
                    state.seen.started += 1;
                    let instance = &mut state.instances[index];
                    (instance.address, instance.pid) = (Some(address), child.id());
                });
                let killed = tokio::select! {
                    ended = child.wait() => {
                        eprintln!("functions host: the handler of instance {index} has ended: {ended:?}");
                        false
                    }
                    () = kill.notified() => {
                        drop(child.kill().await);
                        true
                    }
                };
                shared.change(|state| {
                    let instance = &mut state.instances[index];
                    (instance.address, instance.pid) = (None, None);
                });
                // A machine that goes is another matter than a handler that crashes.
                crashes += u32::from(!killed);
            }
            Err(error) => {
                eprintln!("functions host: the handler of instance {index} does not start: {error}");
                crashes += 1;
            }
        }
    }
    shared.change(|state| state.instances[index].given_up = true);
}

async fn start(shared: &Shared, index: usize) -> io::Result<(Child, SocketAddr)> {
    // Free a moment ago; should somebody be quicker, the handler ends and is started again.
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let port = address.port().to_string();
    let app = &shared.app;
    let mut command = Command::new(&app.handler);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", &port)
        .env("FUNCTIONS_HTTPWORKER_PORT", &port)
        .env("FUNCTIONS_APP_ROOT_PATH", app.handler.parent().unwrap_or(&app.handler))
        .envs(app.settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if app.console.is_some() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.spawn()?;
    if let Some(console) = &app.console {
        hear(console, index, child.stdout.take());
        hear(console, index, child.stderr.take());
    }
    let up = async {
        let mut ticks = tokio::time::interval(ASK);
        loop {
            ticks.tick().await;
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status} before it was up")));
            }
            let request = Request::get("/").body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
            if send(address, request).await.is_ok() {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(START, up).await.map_err(io::Error::other)??;
    Ok((child, address))
}

/// Passes on what a handler prints until it ends.
fn hear(console: &Console, index: usize, from: Option<impl AsyncRead + Send + Unpin + 'static>) {
    let Some(from) = from else { return };
    let console = console.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // For whoever looks at a failed test, as without a console.
            eprintln!("{line}");
            (console.0)(index, &line);
        }
    });
}

/// A body of one piece.
pub(super) fn whole(body: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(body.into())
}

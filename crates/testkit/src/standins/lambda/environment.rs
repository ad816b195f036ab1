//! One execution environment: an emulator process, which takes one invocation at a time.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

use super::Function;

const PATH: &str = "/2015-03-31/functions/function/invocations";
/// Starts what follows once somebody listens at the Runtime API. On Lambda somebody does; the emulator may start the function
/// first, which then ends because it cannot connect.
const WAIT: &str =
    r#"until (exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}") 2>/dev/null; do :; done; exec "$0""#;
/// How long an emulator may take until it listens. It does so within milliseconds.
const START: Duration = Duration::from_secs(30);
/// How long an emulator may take to end before it is killed.
const END: Duration = Duration::from_secs(10);
/// How long the end of an invocation's log is waited for.
const LOG: Duration = Duration::from_millis(500);
/// What is kept of an environment's output.
const KEPT: usize = 64 << 10;

/// An environment that nobody else uses.
#[derive(Debug)]
pub(super) struct Environment {
    address: SocketAddr,
    output: Arc<Mutex<Vec<u8>>>,
    grown: watch::Receiver<()>,
}

/// What an invocation came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What the emulator answered.
    pub(super) status: StatusCode,
    /// The function's answer.
    pub(super) body: Bytes,
    /// What was written meanwhile, and the emulator's lines about it.
    pub(super) log: Vec<u8>,
}

/// Two ports that nobody had a moment ago. Somebody may be quicker: then the emulator ends and another is started.
fn free_ports() -> io::Result<[SocketAddr; 2]> {
    let listeners =
        [std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

impl Environment {
    /// Starts an emulator and waits until it listens.
    pub(super) async fn start(emulator: &std::path::Path, function: &Function) -> io::Result<(Self, Child)> {
        let mut tries = 0;
        loop {
            match Self::start_once(emulator, function).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 5 => tries += 1,
                other => return other,
            }
        }
    }

    async fn start_once(emulator: &std::path::Path, function: &Function) -> io::Result<(Self, Child)> {
        let [address, runtime_api] = free_ports()?;
        let mut command = Command::new(emulator);
        command
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            // Without this it would listen for everybody.
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .args(["--log-level", "error"])
            .args(["/bin/bash", "-c", WAIT])
            .arg(&function.bootstrap)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string())
            .env("AWS_LAMBDA_FUNCTION_TIMEOUT", function.timeout.as_secs().max(1).to_string())
            .envs(function.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let (grow, grown) = watch::channel(());
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(keep(stdout, Arc::clone(&output), grow));
        }
        // It does not say when it listens.
        let listens = async {
            let mut pause = tokio::time::interval(Duration::from_millis(2));
            loop {
                pause.tick().await;
                if let Some(status) = child.try_wait()? {
                    let message = format!("the emulator ended: {status}");
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
                }
                if TcpStream::connect(address).await.is_ok() {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(START, listens).await.map_err(io::Error::other)??;
        Ok((Self { address, output, grown }, child))
    }

    /// Has it run one invocation to its end.
    pub(super) async fn invoke(
        &mut self,
        payload: Bytes,
    ) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(PATH).header(HOST, self.address.to_string()).body(Full::new(payload))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        let log = self.log(status).await;
        Ok(Outcome { status, body, log })
    }

    /// What was written during the invocation. The emulator's last line comes a little later than its answer, and
    /// after a crash not at all.
    async fn log(&mut self, status: StatusCode) -> Vec<u8> {
        let last = |output: &[u8]| output.windows(7).any(|part| part == b"REPORT ");
        let wait = async {
            loop {
                if last(&self.output.lock().unwrap_or_else(PoisonError::into_inner)) {
                    return;
                }
                if self.grown.changed().await.is_err() {
                    return;
                }
            }
        };
        if status == StatusCode::OK && tokio::time::timeout(LOG, wait).await.is_err() {
            eprintln!("the emulator at {} has not reported on an invocation", self.address);
        }
        std::mem::take(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps the end of what is written, and passes it on for whoever reads the test's output.
async fn keep(mut stdout: ChildStdout, output: Arc<Mutex<Vec<u8>>>, grow: watch::Sender<()>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(len @ 1..) = stdout.read(&mut buffer).await {
        {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.extend_from_slice(&buffer[..len]);
            let excess = output.len().saturating_sub(KEPT);
            output.drain(..excess);
        }
        grow.send_replace(());
        eprint!("{}", String::from_utf8_lossy(&buffer[..len]));
    }
}

/// Ends emulators, which end what they have started.
pub(super) async fn end(children: Vec<Child>) {
    for child in &children {
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // One that is gone already is as good as ended.
            rustix::process::kill_process(pid, Signal::TERM).unwrap_or_default();
        }
    }
    for mut child in children {
        if tokio::time::timeout(END, child.wait()).await.is_err() {
            eprintln!("an emulator does not end: it is killed");
            drop(child.kill().await);
        }
    }
}

//! The suites over the HTTP backend: two runtimes, each a process of its own with one worker, behind a balancer that
//! spreads connections. This program is the runtimes', too.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking, which clippy cannot see without libtest"
)]

use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustwren::Executor;
use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren_tests::{Backend, BoxFuture, suite};
use tempfile::TempDir;

const SECRET: &str = "5ec2e70123456789abcdef0123456789";

/// What a test has started.
struct Fleet {
    runtimes: Vec<Child>,
    /// Storage, and what the runtimes keep on their disk.
    _dir: TempDir,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for runtime in &mut self.runtimes {
            runtime.kill().unwrap();
            runtime.wait().unwrap();
        }
    }
}

/// Everything that was started, to be ended with this program.
static STARTED: Mutex<Vec<Fleet>> = Mutex::new(Vec::new());

/// Starts a runtime: the process, and where it listens.
fn runtime(dir: &Path, limit: Option<&str>) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--storage"]);
    command.arg(dir.join("objects"));
    // Detached jobs are driven by function processes, which make calls of their own.
    command.args(["--set", "compute.pass_env=RUSTWREN_HTTP_SECRET"]);
    if let Some(limit) = limit {
        command.args(["--set", &format!("compute.max_duration={limit}")]);
    }
    command.env("RUSTWREN_HTTP_SECRET", SECRET).env("RUSTWREN_CACHE_DIR", dir.join("cache"));
    let mut child = command.env("RUSTWREN_LOG", "warn").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
    (child, address.parse().unwrap())
}

/// A balancer that gives each connection to the next of these.
fn balance(backends: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (client, backend) in listener.incoming().zip(backends.iter().cycle()) {
            let client = client.unwrap();
            // A connection to one that has ended is closed at once.
            let Ok(server) = TcpStream::connect(backend) else { continue };
            let (client, server) = (Arc::new(client), Arc::new(server));
            for (from, to) in [(Arc::clone(&client), Arc::clone(&server)), (server, client)] {
                thread::spawn(move || {
                    // Either side may be gone; the other is told.
                    drop(io::copy(&mut &*from, &mut &*to));
                    drop(to.shutdown(Shutdown::Write));
                    drop(from.shutdown(Shutdown::Read));
                });
            }
        }
    });
    address
}

fn connect(limit: Option<&'static str>) -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async move {
        let dir = tempfile::tempdir().unwrap();
        let (runtimes, addresses) = (0..2).map(|_| runtime(dir.path(), limit)).unzip();
        STARTED.lock().unwrap().push(Fleet { runtimes, _dir: dir });
        let url = format!("http://{}", balance(addresses));
        let mut options = LoadOptions::of_process()
            .search(false)
            .set("provider", "http")
            .set("storage.url", url.as_str())
            .set("storage.secret", SECRET)
            .set("compute.url", url.as_str())
            .set("compute.secret", SECRET)
            .set("compute.workers", 2)
            .set("client.progress", "never")
            .set("client.logs", "none");
        if let Some(limit) = limit {
            options = options.set("compute.max_duration", limit);
        }
        Executor::connect_with(&options).await
    })
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return rustwren_worker::main();
    }
    let detached = suite::detached::TESTS.iter().map(|&(name, run)| {
        rustwren_tests::trial(format!("http::{name}"), move || {
            let executor = block_on(connect(None)).unwrap();
            block_on(run(executor));
        })
    });
    let backend = Backend {
        name: "http",
        connect: || connect(None),
        short_lived: Some(|| connect(Some("1s"))),
        gaps: &[],
    };
    let code = rustwren_tests::main_with(&[backend], detached.collect());
    STARTED.lock().unwrap().clear();
    code
}

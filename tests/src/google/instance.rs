//! One instance of a service: a container, were it at Google.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use super::Route;
use crate::fleet;

/// What `scripts/test` puts under `.cache`.
const FRAMEWORK: &str =
    "functions-framework/node_modules/@google-cloud/functions-framework/build/src/main.js";
/// The shim as it is deployed, and what its package says.
const SHIM: [&str; 2] = ["index.js", "package.json"];

/// A process that serves invocations. It is killed with this value.
#[derive(Debug)]
pub struct Instance {
    process: Child,
    address: SocketAddr,
    log: NamedTempFile,
}

impl Instance {
    /// Starts one, with nothing but these variables and what Google sets, and waits until it listens.
    pub fn start(route: Route, home: &Path, variables: &[(String, String)]) -> Self {
        let mut command = match route {
            Route::Run => runtime(),
            Route::Functions => framework(home),
        };
        command
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("NODE_ENV", "production")
            .env("PORT", "0")
            .envs(variables.iter().map(|(name, value)| (name, value)));
        let log = NamedTempFile::new_in(home).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let said = || fs::read_to_string(log.path()).unwrap_or_default();
        let address = address.unwrap_or_else(|| panic!("the instance says {line:?} and\n{}", said()));
        Self { process, address, log }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it, as a machine dies.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Tells it to end, as Google does ten seconds before it kills.
    pub fn end(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// What it has said so far on stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill() {
            eprintln!("an instance is gone already: {error}");
        }
        drop(self.process.wait());
    }
}

/// The runtime alone, which is this program.
fn runtime() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([fleet::SERVE, "--platform-auth", "--listen", "127.0.0.1:$PORT"]);
    command
}

/// Google's framework with the shim, beside which the runtime lies, as in the archive that is deployed.
fn framework(home: &Path) -> Command {
    let framework = fleet::cache().join(FRAMEWORK);
    assert!(framework.is_file(), "there is no functions framework: run scripts/test once, which brings it");
    let source = home.join("source");
    if !source.is_dir() {
        let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backends/gcp/shim");
        fs::create_dir(&source).unwrap();
        for name in SHIM {
            fs::copy(shim.join(name), source.join(name)).unwrap();
        }
        symlink(std::env::current_exe().unwrap(), source.join("rustwren-runtime")).unwrap();
    }
    let mut command = Command::new(node());
    command.arg("--require").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/google/loopback.cjs"));
    command.arg(framework).arg("--target=rustwren").arg("--source").arg(source);
    command
}

fn node() -> PathBuf {
    fleet::tool("node")
}

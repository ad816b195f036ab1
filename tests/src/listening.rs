//! A process that listens, and says where on its first line.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

/// A process that serves invocations: a runtime, or what stands around one. It is killed with this value.
#[derive(Debug)]
pub struct Listening {
    process: Child,
    address: SocketAddr,
    log: NamedTempFile,
}

impl Listening {
    /// Starts it, with what it says on stderr in a file in the folder `home`, and waits until it listens.
    pub(crate) fn start(mut command: Command, home: &Path) -> Self {
        let log = NamedTempFile::new_in(home).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let said = || fs::read_to_string(log.path()).unwrap_or_default();
        let address = address.unwrap_or_else(|| panic!("it says {line:?} and\n{}", said()));
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

    /// Tells it to end, as whoever takes a machine away does, and Google ten seconds before it kills.
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

impl Drop for Listening {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill() {
            eprintln!("a process that listened is gone already: {error}");
        }
        drop(self.process.wait());
    }
}

//! One runtime process.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

/// A process that serves invocations. It is killed with this value.
///
/// Its program is this one: [`main`](crate::main()) makes it a runtime when it is started as one.
#[derive(Debug)]
pub struct Runtime {
    process: Child,
    address: SocketAddr,
    log: NamedTempFile,
}

impl Runtime {
    /// Starts one as the systemd unit that `rustwren setup` wrote into the folder `fleet` says, but on a port of its own
    /// and with folders of the test's; and waits until it listens.
    pub fn start(
        home: &Path,
        fleet: &Path,
        secrets: &Path,
        storage: &Path,
        settings: &[(String, String)],
    ) -> Self {
        let unit = fs::read_to_string(fleet.join("rustwren-runtime.service")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([super::SERVE, "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for line in unit.lines().filter_map(|line| line.strip_prefix("Environment=")) {
            let (name, value) = line.trim_matches('"').split_once('=').unwrap();
            let value = value
                .replace("%d/secrets", secrets.to_str().unwrap())
                .replace("%C/rustwren", unpacked().to_str().unwrap())
                .replace("/var/lib/rustwren/storage", storage.to_str().unwrap());
            assert!(!value.contains('%') && !value.starts_with("/var/"), "what is {line} here?");
            command.env(name, value);
        }
        for (key, value) in settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let log = NamedTempFile::new_in(home).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let said = || fs::read_to_string(log.path()).unwrap_or_default();
        let address = address.unwrap_or_else(|| panic!("the runtime says {line:?} and\n{}", said()));
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

    /// Asks it to end, as whoever takes a machine away does.
    pub fn drain(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill() {
            eprintln!("a runtime is gone already: {error}");
        }
        drop(self.process.wait());
    }
}

/// Where runtimes keep unpacked programs: one place for all of them and for every run, since unpacking this program,
/// with all that is in it for debuggers, takes longer than most tests.
pub(crate) fn unpacked() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("fleet-cache")
}

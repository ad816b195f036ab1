//! One runtime process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// A process that serves invocations. It is killed with this value.
///
/// Its program is this one: [`main`](crate::main()) makes it a runtime when it is started as one.
#[derive(Debug)]
pub struct Runtime {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Runtime {
    /// Starts one on a port of its own, and waits until it listens.
    pub fn start(home: &Path, secrets: &Path, storage: &Path, settings: &[(String, String)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([super::SERVE, "--listen", "127.0.0.1:0", "--secret-file"])
            .arg(secrets)
            .arg("--storage")
            .arg(storage)
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("RUSTWREN_CACHE_DIR", home.join("cache"));
        for (key, value) in settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let address = listening(&mut lines, &log);
        // What it says from then on is kept, and read in any case: a full pipe would stop it.
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
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
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

/// Reads until the line that says where it listens.
fn listening(lines: &mut BufReader<ChildStderr>, log: &Mutex<Vec<String>>) -> SocketAddr {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            panic!("the runtime has ended before it listened:\n{said}");
        }
        said += &line;
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end().to_owned());
        let words = line.split(|c: char| c.is_whitespace() || c == '=' || c == '/');
        let addresses: Vec<SocketAddr> = words.filter_map(|word| word.parse().ok()).collect();
        if let [address] = addresses[..] {
            return address;
        }
    }
}

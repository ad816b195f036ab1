//! Starts helper programs in a place of their own and watches processes.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

/// How long something that is to happen may take before a test gives up; no test depends on it.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A working directory, a home and a cache of their own.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["outer", "outer/work", "home"] {
            std::fs::create_dir(place.path(name)).unwrap();
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A program with nothing in its environment but this place and two workers.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.path("outer/work"))
            .env_clear()
            // For the programs that tasks start.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("home/config"))
            .env("XDG_CACHE_HOME", self.path("home/cache"))
            .env("RUSTWREN_CACHE_DIR", self.path("cache"))
            .env("RUSTWREN__COMPUTE__WORKERS", "2")
            .stdin(Stdio::null());
        command
    }

    /// Runs `program.rs` to its end.
    pub(crate) fn run(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_program"), args);
        command.envs(variables.iter().copied()).output().unwrap()
    }

    /// Lines that helper programs have noted.
    pub(crate) fn notes(&self, line: &str) -> usize {
        let notes = std::fs::read_to_string(self.path("outer/work/notes")).unwrap_or_default();
        notes.lines().filter(|noted| *noted == line).count()
    }

    /// Where tasks report.
    pub(crate) fn listen(&self) -> Listener {
        let path = self.path("socket");
        Listener { listener: UnixListener::bind(&path).unwrap(), path }
    }
}

pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    pub(crate) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Waits until a task has said where it is.
    pub(crate) fn accept(&self) -> Reporter {
        let (stream, _) = self.listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let processes = line.split_whitespace().map(|pid| Watched::new(pid.parse().unwrap())).collect();
        Reporter { stream, processes }
    }

    /// Waits until so many tasks have.
    pub(crate) fn accept_all(&self, count: usize) -> Vec<Reporter> {
        (0..count).map(|_| self.accept()).collect()
    }
}

/// A task that has reported.
pub(crate) struct Reporter {
    stream: UnixStream,
    /// It and its child, if it has one.
    pub(crate) processes: Vec<Watched>,
}

impl Reporter {
    pub(crate) fn let_go(&mut self) {
        self.stream.write_all(b"go\n").unwrap();
    }
}

/// A process whose end will be seen, also if its number is used again.
pub(crate) struct Watched {
    pid: i32,
    pidfd: OwnedFd,
}

impl Watched {
    pub(crate) fn new(pid: i32) -> Self {
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty())
            .unwrap_or_else(|error| panic!("process {pid}: {error}"));
        Self { pid, pidfd }
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn assert_ends(&self) {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let ended = poll(&mut watched, Some(&PATIENCE)).unwrap();
        assert_eq!(ended, 1, "process {} is still there", self.pid);
    }

    pub(crate) fn is_there(&self) -> bool {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
    }
}

/// All of these tasks' processes end.
#[track_caller]
pub(crate) fn assert_all_end(reporters: &[Reporter]) {
    for process in reporters.iter().flat_map(|reporter| &reporter.processes) {
        process.assert_ends();
    }
}

/// Starts a program whose output is collected.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
pub(crate) fn assert_exit(output: &Output, code: i32) {
    let status = output.status;
    assert_eq!(status.code(), Some(code), "{status}\nstdout: {}\nstderr: {}", stdout(output), stderr(output));
}

/// These words occur, in this order.
#[track_caller]
pub(crate) fn assert_says(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word:?} where it is expected in:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

/// A folder that nobody can make, root included.
pub(crate) fn impossible_folder() -> &'static Path {
    Path::new("/proc/rustwren")
}

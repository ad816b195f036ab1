//! A storage of its own for each test, the command, and what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rustwren::__cli::config::{Config, LoadOptions};
use rustwren::__cli::durable::Store;
use rustwren::__cli::{TokioClock, registry};
use tempfile::TempDir;

/// A working directory, a home and a storage folder, and nothing else in the environment.
pub(crate) struct Place {
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["work", "home", "storage"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::fs::write(root.join("work/rustwren.toml"), "[storage]\nroot = \"../storage\"\n").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options =
            LoadOptions::empty().set("storage.root", root.join("storage").to_str().unwrap().to_owned());
        let config = Config::load(&registry(), &options).unwrap();
        let storage = runtime.block_on(registry().build_storage(config.storage())).unwrap();
        Self { dir, runtime, store: Store::new(storage, Arc::new(TokioClock::new())) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Another program, with nothing in its environment but this place.
    pub(crate) fn in_place(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("RUSTWREN__COMPUTE__WORKERS", "2")
            // So that drivers look soon whether they are to stop.
            .env("RUSTWREN__JOB__LEASE", "6s")
            .stdin(Stdio::null());
        command
    }

    /// The command.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.in_place(Path::new(env!("CARGO_BIN_EXE_rustwren")));
        command.args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What `--json` prints of a command that succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(args);
        assert_exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A copy of this program under another name, as a user's.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        path
    }

    /// Every object in the storage, and every other file.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, files) } else { files.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(&self.path("storage"), &mut files);
        files
    }
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

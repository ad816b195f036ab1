//! Starting the program on its one task, by itself or under a debugger.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustwren::__cli::WORKER_ARGUMENT;
use rustwren::__cli::config::Config;
use rustwren::__cli::env::{self, Environment};
use rustwren::__cli::error::{Error, ErrorKind, Result};

/// How often a program that is still open for writing somewhere is tried again.
const BUSY_TRIES: u32 = 50;

/// A command that runs the task.
#[derive(Debug)]
pub(super) struct Start {
    /// The debugger with its own arguments; empty without one.
    debugger: Vec<OsString>,
    program: PathBuf,
    file: PathBuf,
    /// Variables of this process that workers do not get to see.
    withheld: Vec<OsString>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) took: Duration,
    /// Ctrl-C was pressed meanwhile.
    pub(super) interrupted: bool,
    pub(super) debugged: bool,
}

impl Start {
    pub(super) fn new(config: &Config, program: &Path, file: &Path, debugger: Option<&str>) -> Result<Self> {
        let debugger = debugger.map(debugger_command).transpose()?.unwrap_or_default();
        let pass = config.compute().get_list("pass_env").unwrap_or_default();
        let environment = Environment::of_process();
        let names = environment.iter().map(|(name, _)| name);
        let withheld = names.filter(|name| env::is_withheld(name, &pass)).map(OsStr::to_owned).collect();
        Ok(Self { debugger, program: program.to_owned(), file: file.to_owned(), withheld })
    }

    fn words(&self) -> impl Iterator<Item = &OsStr> {
        let debugger = self.debugger.iter().map(OsString::as_os_str);
        debugger.chain([self.program.as_os_str(), OsStr::new(WORKER_ARGUMENT)])
    }

    /// The command as a line for a shell.
    pub(super) fn command_line(&self) -> Result<String> {
        let mut words = Vec::new();
        if !self.withheld.is_empty() {
            words.push("env".to_owned());
            for name in &self.withheld {
                words.extend(["-u".to_owned(), quoted(name)?]);
            }
        }
        words.push(format!("{}={}", env::RERUN.name, quoted(self.file.as_os_str())?));
        words.push(format!("{}=1", env::WORKER_DEPTH.name));
        for word in self.words() {
            words.push(quoted(word)?);
        }
        Ok(words.join(" "))
    }

    fn command(&self) -> Command {
        let mut words = self.words();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env(env::RERUN.name, &self.file).env(env::WORKER_DEPTH.name, "1");
        for name in &self.withheld {
            command.env_remove(name);
        }
        if self.debugger.is_empty() {
            command.stdin(Stdio::null());
        }
        command
    }

    /// Runs it to its end. Ctrl-C is for the program or its debugger alone.
    pub(super) fn run(&self) -> Result<Ended> {
        let internal = |error: io::Error| {
            Error::new(ErrorKind::Internal, "Ctrl-C cannot be listened to").with_source(error)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
        let mut interrupts = {
            let _inside = runtime.enter();
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(internal)?
        };
        let begun = Instant::now();
        let mut child = self.start()?;
        let status = child.wait().map_err(|error| {
            Error::new(ErrorKind::Internal, "the program's end cannot be waited for").with_source(error)
        })?;
        let took = begun.elapsed();
        let heard = runtime.block_on(async { tokio::time::timeout(Duration::ZERO, interrupts.recv()).await });
        Ok(Ended { status, took, interrupted: heard.is_ok(), debugged: !self.debugger.is_empty() })
    }

    fn start(&self) -> Result<std::process::Child> {
        let mut tries = 0;
        loop {
            match self.command().spawn() {
                Ok(child) => return Ok(child),
                // A program that was written a moment ago, by this process while another thread forked.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                    tries += 1;
                    std::thread::yield_now();
                }
                Err(error) => return Err(self.not_started(error)),
            }
        }
    }

    fn not_started(&self, error: io::Error) -> Error {
        let first = self.words().next().unwrap_or_default().to_string_lossy().into_owned();
        let missing = error.kind() == io::ErrorKind::NotFound && !self.debugger.is_empty();
        let failed = Error::new(ErrorKind::Config, format!("{first} cannot be started")).with_source(error);
        if missing {
            failed.with_hint(format!("install {first}, or name another with --debugger=COMMAND"))
        } else {
            failed
        }
    }
}

/// The words of a debugger's command. Those that are known get what they need to be asked for a start at once.
fn debugger_command(debugger: &str) -> Result<Vec<OsString>> {
    let words = shlex::split(debugger).filter(|words| !words.is_empty()).ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("--debugger={debugger:?} is not a command"))
            .with_hint("such as gdb, lldb, or 'valgrind -q'; quotes must be closed")
    })?;
    let known: &[&str] = match &words[..] {
        // A panic goes through this function, with the frames of whoever panicked still there.
        [only] if only == "gdb" => {
            &["gdb", "-q", "-iex", "set breakpoint pending on", "-ex", "break rust_panic", "--args"]
        }
        [only] if only == "lldb" => &["lldb", "-o", "breakpoint set --name rust_panic", "--"],
        _ => return Ok(words.into_iter().map(OsString::from).collect()),
    };
    Ok(known.iter().map(OsString::from).collect())
}

fn quoted(word: &OsStr) -> Result<String> {
    let text = word.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("{} is not text and cannot be printed", word.to_string_lossy()))
    })?;
    let quoted = shlex::try_quote(text).map_err(|error| {
        Error::new(ErrorKind::Config, format!("{text:?} cannot be printed for a shell")).with_source(error)
    })?;
    Ok(quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(debugger: Option<&str>) -> Start {
        let config =
            Config::load(&rustwren::__cli::registry(), &rustwren::__cli::config::LoadOptions::empty());
        let start = Start::new(&config.unwrap(), Path::new("/a b/prog"), Path::new("/c/task"), debugger);
        Start { withheld: vec!["A_TOKEN".into()], ..start.unwrap() }
    }

    #[test]
    fn a_command_line_can_be_pasted() {
        assert_eq!(
            start(None).command_line().unwrap(),
            "env -u A_TOKEN RUSTWREN_RERUN=/c/task RUSTWREN_WORKER_DEPTH=1 '/a b/prog' --rustwren-function-process"
        );
        let words = shlex::split(&start(Some("valgrind -q '--log=a b'")).command_line().unwrap()).unwrap();
        assert_eq!(words[5..], ["valgrind", "-q", "--log=a b", "/a b/prog", "--rustwren-function-process"]);
        assert!(start(Some("gdb")).command_line().unwrap().contains("--args '/a b/prog'"));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let config =
            Config::load(&rustwren::__cli::registry(), &rustwren::__cli::config::LoadOptions::empty())
                .unwrap();
        for wrong in ["", "  ", "gdb 'x"] {
            let error = Start::new(&config, Path::new("p"), Path::new("f"), Some(wrong)).unwrap_err();
            assert!(error.hint().is_some(), "{error}");
        }
    }
}

//! Starting an agent, which runs a detached invocation when the client is gone.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustwren_core::env;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::Invocation;
use rustwren_core::worker::MAX_TAIL;
use rustwren_runtime::Program;
use rustwren_runtime::image_cache::retry_busy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::order::{ARGUMENT, Answer, Order};

/// Logs that nobody has written to for so long are removed.
const OLD: Duration = Duration::from_hours(7 * 24);
/// How long an agent that has closed its stdout may take to be gone, before it is ended.
const LEAVE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// What a program may print before it answers.
const MOST_CHATTER: usize = 1 << 20;

/// Starts an agent for an invocation whose payloads are inline, and returns once it has taken it. `logs` is the
/// folder for its log.
pub(crate) async fn start(
    program: &Program,
    mut order: Order,
    invocation: &Invocation,
    logs: Option<&Path>,
) -> Result<(), BackendError> {
    let job = &invocation.job;
    let word = format!("{:016x}", fastrand::u64(..));
    let failed = |message: String| {
        let message = format!("the agent that is to run job {} without the client: {message}", job.label);
        BackendError::new(ErrorClass::Misconfigured, message)
    };
    let mut log = Log::create(logs, &format!("{}-{word}.log", plain(&job.id)))
        .map_err(|error| failed("its log cannot be made".to_owned()).with_source(error))?;
    order.log = log.path.clone().map(PathBuf::into_os_string);
    let bytes = order.encode(invocation).map_err(failed)?;
    let started = retry_busy(|| spawn(program, &word, &log)).await;
    let mut agent =
        Agent(Some(started.map_err(|e| failed("it cannot be started".to_owned()).with_source(e))?));
    let limit = order.start_timeout;
    let Ok(answer) = timeout(limit, agent.ask(bytes, &word)).await else {
        return Err(failed(format!("it did not take the job within {limit:?}"))
            .with_hint("raise `start_timeout` in [compute] of the configuration"));
    };
    match answer.map_err(|e| failed("it cannot be talked to".to_owned()).with_source(e))? {
        Some(Answer::Taken) => {
            agent.release();
            log.agent_is_gone = false;
            Ok(())
        }
        Some(Answer::Refused(why)) => Err(failed(format!("it refuses: {why}"))),
        None => {
            let status = tokio::task::spawn_blocking(move || agent.left()).await.unwrap_or_default();
            let status = status.map_or_else(String::new, |status| format!(" ({status})"));
            let mut message = format!("it ended before it took the job{status}");
            let tail = log.tail();
            if !tail.is_empty() {
                message = format!("{message}; its last output:\n{}", tail.trim_end());
            }
            Err(failed(message).with_hint(
                "put #[rustwren::main] on main, or call rustwren::init() first thing in it: the program is started \
                 again as the agent",
            ))
        }
    }
}

/// As part of a file's name.
fn plain(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    id.chars().map(plain).take(100).collect()
}

fn spawn(program: &Program, word: &str, log: &Log) -> io::Result<Child> {
    let mut command = program.command();
    // It takes the place of the process that starts it: a job that goes on in a further agent does not become more
    // deeply nested by that.
    match env::worker_depth().saturating_sub(1) {
        0 => command.env_remove(env::WORKER_DEPTH.name),
        depth => command.env(env::WORKER_DEPTH.name, depth.to_string()),
    };
    command
        .arg(ARGUMENT)
        .env(env::AGENT.name, word)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.file.try_clone()?)
        .spawn()
}

/// An agent that has not taken its job. Dropped, it is ended.
struct Agent(Option<Child>);

impl Agent {
    /// Sends the order and waits for the answer; none if the agent ends without one.
    async fn ask(&mut self, bytes: Vec<u8>, word: &str) -> io::Result<Option<Answer>> {
        let Some(child) = &mut self.0 else { return Ok(None) };
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(None);
        };
        let mut stdin = pipe::Sender::from_owned_fd(OwnedFd::from(stdin))?;
        let mut stdout = pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))?;
        let send = async move {
            // If it does not want to read all of it, its answer or its end says why.
            match stdin.write_all(&bytes).await {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                _ => Ok(()),
            }
        };
        let hear = async {
            let mut output = Vec::new();
            loop {
                if stdout.read_buf(&mut output).await? == 0 {
                    return Ok(None);
                }
                if let Some(answer) = Answer::find(&output, word) {
                    return Ok(Some(answer));
                }
                if output.len() > MOST_CHATTER {
                    return Err(io::Error::other("it writes other things to its stdout, without an end"));
                }
            }
        };
        let ((), answer) = tokio::try_join!(send, hear)?;
        Ok(answer)
    }

    /// It has its job: from here on it is left alone. Its end is taken note of if this process is still there then.
    fn release(mut self) {
        let Some(mut child) = self.0.take() else { return };
        let wait = move || {
            if let Err(error) = child.wait() {
                tracing::debug!(%error, "the end of an agent is not known");
            }
        };
        let waiting = std::thread::Builder::new().name("rustwren-agent".to_owned()).stack_size(64 << 10);
        if let Err(error) = waiting.spawn(wait) {
            tracing::debug!(%error, "an agent that ends before this process leaves an entry in the process table");
        }
    }

    /// How it ended, if it is about to: it has closed its stdout. Blocks for a moment at most.
    fn left(mut self) -> Option<ExitStatus> {
        if let Some(child) = &self.0
            && let Ok(watch) = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
            && let Err(error) = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&LEAVE))
        {
            tracing::debug!(%error, "an agent's end cannot be waited for");
        }
        self.end()
    }

    /// Ends it, unless it has ended already. How it ended.
    fn end(&mut self) -> Option<ExitStatus> {
        let mut child = self.0.take()?;
        if let Err(error) = child.kill() {
            tracing::debug!(%error, "an agent cannot be ended");
        }
        child.wait().ok()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}

/// What an agent writes: its own trouble and its tasks' output.
struct Log {
    file: File,
    /// None if it is only kept in memory, for want of a folder.
    path: Option<PathBuf>,
    /// What it says is told in an error, if at all. It goes with this value.
    agent_is_gone: bool,
}

impl Log {
    fn create(folder: Option<&Path>, name: &str) -> io::Result<Self> {
        if let Some(folder) = folder {
            match Self::in_folder(folder, name) {
                Ok(log) => return Ok(log),
                // A folder that cannot be written is no reason not to run the job.
                Err(error) => {
                    tracing::warn!("the output of detached jobs is not kept: {}: {error}", folder.display());
                }
            }
        }
        let memory = rustix::fs::memfd_create("rustwren-agent", MemfdFlags::CLOEXEC)?;
        Ok(Self { file: File::from(memory), path: None, agent_is_gone: true })
    }

    fn in_folder(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        remove_old(folder);
        let path = folder.join(name);
        let file = File::options().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path: Some(path), agent_is_gone: true })
    }

    /// The last it says.
    fn tail(&mut self) -> String {
        let mut bytes = Vec::new();
        let len = self.file.metadata().map_or(0, |meta| meta.len());
        let from = SeekFrom::Start(len.saturating_sub(MAX_TAIL as u64));
        match self.file.seek(from).and_then(|_| (&self.file).take(MAX_TAIL as u64).read_to_end(&mut bytes)) {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(its log cannot be read: {error})"),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.agent_is_gone
            && let Some(path) = &self.path
            && let Err(error) = fs::remove_file(path)
        {
            tracing::debug!(path = %path.display(), %error, "a log cannot be removed");
        }
    }
}

/// Removes logs of agents that have been silent for long.
#[expect(clippy::disallowed_methods, reason = "times of files are wall times")]
fn remove_old(folder: &Path) {
    let removed = fs::read_dir(folder).and_then(|entries| {
        let now = SystemTime::now();
        for entry in entries {
            let entry = entry?;
            let written = entry.metadata().and_then(|meta| meta.modified());
            let old = written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > OLD));
            if old && entry.path().extension().is_some_and(|extension| extension == "log") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    });
    if let Err(error) = removed {
        tracing::debug!(folder = %folder.display(), %error, "old logs stay");
    }
}

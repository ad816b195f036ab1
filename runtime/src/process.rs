//! One function process: starting it, ending it, and finding out how it ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustwren_core::env::is_withheld;
use rustwren_core::worker::{self, MAX_TAIL, SharedPage, join_tails, read_tail};
use tokio::io::unix::AsyncFd;

use crate::options::PoolOptions;
use crate::private::Private;

/// How often an executable that is still open for writing somewhere is tried again, and how long apart.
const BUSY_RETRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A started process. Dropping it ends it and everything in its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    reaped: Option<ExitStatus>,
    pub(crate) page: Arc<SharedPage>,
    /// stdout and stderr.
    pub(crate) output: [OwnedFd; 2],
    private: Option<Private>,
}

impl Process {
    /// Starts a process. The socket is our end.
    pub(crate) fn start(options: &PoolOptions) -> io::Result<(Self, UnixStream)> {
        let mut tries = 0;
        loop {
            match Self::start_once(options) {
                // Right after an image was written: another thread's fork may hold it open for a moment.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_RETRIES => {
                    tries += 1;
                    pause();
                }
                other => return other,
            }
        }
    }

    fn start_once(options: &PoolOptions) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (page, page_file) = SharedPage::create()?;
        worker::send_page(&ours, page_file)?;
        page.set_limits(options.memory_limit.unwrap_or(0), options.stack_size);
        let output = [output_file("rustwren-stdout")?, output_file("rustwren-stderr")?];

        let mut command = options.program.command();
        command.arg(worker::ARGUMENT).process_group(0);
        for variable in withheld(options) {
            command.env_remove(variable);
        }
        command
            .envs(options.set.iter().map(|(name, value)| (name, value)))
            .env(worker::ENV_IMAGE, options.image.to_string())
            .env(worker::ENV_DEPTH, (options.depth + 1).to_string())
            .stdin(OwnedFd::from(theirs))
            .stdout(output[0].try_clone()?)
            .stderr(output[1].try_clone()?);
        let private =
            options.isolation.as_ref().map(|isolation| isolation.place(options.image)).transpose()?;
        if let Some(private) = &private {
            private.set(&mut command);
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        ours.set_nonblocking(true)?;
        Ok((Self { child, pid, reaped: None, page: Arc::new(page), output, private }, ours))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it was stopped, and not by a debugger.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // Behind its name, which may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Ends the process and its group at once. Harmless if it has ended already.
    pub(crate) fn kill(&mut self) {
        // Only as long as it is not reaped is its number sure to be its own.
        if self.reaped.is_none()
            && let Err(error) = rustix::process::kill_process_group(self.pid, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!("cannot end process group {}: {error}", self.pid.as_raw_nonzero());
        }
    }

    /// A descriptor that becomes readable when the process has ended.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe for types that give a changing descriptor; this is not one"
    )]
    pub(crate) fn exit_watch(&self) -> io::Result<AsyncFd<OwnedFd>> {
        AsyncFd::with_interest(
            rustix::process::pidfd_open(self.pid, PidfdFlags::empty())?,
            tokio::io::Interest::READABLE,
        )
    }

    /// Its place, once it has ended: whoever drops that empties it.
    pub(crate) fn take_private(&mut self) -> Option<Private> {
        self.private.take()
    }

    /// How it ended, once it has; ends the rest of its group.
    pub(crate) fn try_reap(&mut self) -> Option<ExitStatus> {
        if self.reaped.is_none() {
            // Seen before it is reaped, so that the group's number is still its own.
            let ended = rustix::process::waitid(
                rustix::process::WaitId::Pid(self.pid),
                rustix::process::WaitIdOptions::EXITED
                    | rustix::process::WaitIdOptions::NOHANG
                    | rustix::process::WaitIdOptions::NOWAIT,
            );
            if matches!(ended, Ok(None)) {
                return None;
            }
            self.kill();
            self.reaped = self.child.wait().ok();
        }
        self.reaped
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        if self.reaped.is_none() {
            // Looked at first: the status of a process that has ended by itself stays its own.
            if self.try_reap().is_none() {
                self.kill();
                self.reaped = self.child.wait().ok();
            }
        }
        self.reaped
    }

    /// The last bytes it wrote since the output of its running element began.
    pub(crate) fn tail(&self) -> String {
        let [out, err] = [0, 1].map(|stream| {
            let size = self.output_size(stream);
            read_tail(&self.output[stream], self.page.output(stream).0.min(size), size)
        });
        join_tails(&out, &err)
    }

    /// The end of what it wrote to stderr: long enough for what the standard library says before it aborts, with
    /// a backtrace behind it.
    pub(crate) fn last_errors(&self) -> String {
        let end = self.output_size(1);
        let begin = self.page.output(1).0.max(end.saturating_sub(64 << 10));
        let mut text = Vec::new();
        while begin + (text.len() as u64) < end {
            let from = begin + text.len() as u64;
            let piece = read_tail(&self.output[1], from, end.min(from + MAX_TAIL as u64));
            if piece.is_empty() {
                break;
            }
            text.extend(piece);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(crate) fn output_size(&self, stream: usize) -> u64 {
        rustix::fs::fstat(&self.output[stream]).map_or(0, |stat| stat.st_size as u64)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The variables of this process that function processes do not get to see.
#[expect(clippy::disallowed_methods, reason = "not one of them is read: they are passed on, or not")]
fn withheld(options: &PoolOptions) -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| is_withheld(name, &options.pass_env))
}

/// On a thread that may block.
#[expect(clippy::disallowed_methods, reason = "nothing tells when another process closes a file")]
fn pause() {
    std::thread::sleep(BUSY_PAUSE);
}

fn output_file(name: &str) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags | OFlags::APPEND)?;
    Ok(file)
}

/// For messages.
pub(crate) fn describe(status: Option<ExitStatus>) -> String {
    match status {
        None => "its exit status is unknown".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("it ended with exit code {code}"),
            (_, Some(signal)) => format!("it was killed by signal {signal}"),
            _ => status.to_string(),
        },
    }
}

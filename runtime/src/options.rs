//! How a pool runs its processes.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

#[cfg(doc)]
use rustwren_core::env::is_withheld;
use rustwren_core::image::ImageId;

use crate::private::Isolation;

/// What is started as the function process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The running program itself, even if its file has been replaced since it was started.
    ThisProgram,
    /// The executable at this path.
    Path(PathBuf),
}

impl Program {
    /// What starts it, so far without arguments. While an image is being written it may be busy for a moment: see
    /// [`crate::image_cache::retry_busy`].
    pub fn command(&self) -> Command {
        let (path, name) = match self {
            Self::ThisProgram => {
                ("/proc/self/exe".into(), std::env::args_os().next().unwrap_or_else(|| "rustwren".into()))
            }
            Self::Path(path) => (path.clone(), path.clone().into_os_string()),
        };
        let mut command = Command::new(path);
        command.arg0(name);
        command
    }
}

/// How a pool runs its processes.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// What to start.
    pub program: Program,
    /// The image that the program is.
    pub image: ImageId,
    /// How many processes at most; at least 1.
    pub workers: usize,
    /// Bytes of memory one process may take for data.
    pub memory_limit: Option<u64>,
    /// Bytes of stack of threads that run tasks.
    pub stack_size: u64,
    /// How long a process may take until it has reached `rustwren::init()`.
    pub start_timeout: Duration,
    /// Variables with credentials that processes may see all the same, as [`is_withheld`] takes them.
    pub pass_env: Vec<String>,
    /// Variables that are set for processes, after the others were taken out.
    pub set: Vec<(OsString, OsString)>,
    /// How many function processes this program is nested in; 0 for a client.
    pub depth: u32,
    /// How often [`rustwren_core::invoker::Events::alive`] is called for an invocation under way, unless its process
    /// is stopped; never by default.
    pub heartbeat: Option<Duration>,
    /// Gives each process a place of its own, and each job processes of its own; none where all that runs is one client's.
    pub isolation: Option<Isolation>,
    /// What helps against an element that takes longer than an invocation may last: the end of a sentence.
    pub life_hint: &'static str,
}

impl PoolOptions {
    /// This program, with one process per core of the machine.
    pub fn new(image: ImageId) -> Self {
        Self {
            program: Program::ThisProgram,
            image,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit: None,
            stack_size: 8 << 20,
            start_timeout: Duration::from_secs(30),
            pass_env: Vec::new(),
            set: Vec::new(),
            depth: 0,
            heartbeat: None,
            isolation: None,
            life_hint: "split it into smaller tasks",
        }
    }
}

//! The function process's life.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

use super::control::MAX_COUNT;
use super::current::{self, monotonic_nanos};
use super::function::{Function, Resolve, Shared};
use super::host::Host;
use super::outbox::{Outbox, die};
use super::{Chunk, handover, panics};
use crate::env::{self, EnvVar};
use crate::image::ImageId;
use crate::invoker::JobSpec;
use crate::protocol::frame::FrameBuffer;
use crate::protocol::message::{Down, Hello, PROTOCOL, Run, Up};
use crate::raw::environment;
use crate::raw::page::SharedPage;

/// The stack of threads that run tasks, where the supervisor does not say.
const DEFAULT_STACK: u64 = 8 << 20;

/// Serves tasks until the supervisor is gone. Called by `rustwren::init()` when [`env::WORKER_IMAGE`] is set, before the
/// program does anything else.
pub fn serve(resolve: Resolve) -> ! {
    match set_up() {
        Ok((host, image)) => match start(host, image, resolve) {
            Ok(()) => read(host),
            Err(error) => fail(&error),
        },
        Err(error) => fail(&error),
    }
}

/// Ends a process that cannot serve; the supervisor shows what it wrote.
pub(super) fn fail(error: &io::Error) -> ! {
    eprintln!("rustwren: this function process cannot start: {error}");
    exit(2)
}

/// Ends the process, which holds nothing that would have to be put away.
#[expect(clippy::disallowed_methods, reason = "a function process has no `main` to return from")]
pub(super) fn exit(code: i32) -> ! {
    std::process::exit(code)
}

pub(super) fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

/// Takes a variable out of the environment.
pub(super) fn take_variable(variable: EnvVar) -> io::Result<String> {
    let value = variable.get_str().map_err(|error| bad(error.to_string()))?;
    environment::remove(variable.name);
    value.ok_or_else(|| bad(format!("{} is not set", variable.name)))
}

fn set_up() -> io::Result<(&'static Host, ImageId)> {
    let image = take_variable(env::WORKER_IMAGE)?;
    let image: ImageId =
        image.parse().map_err(|error| bad(format!("{}: {error}", env::WORKER_IMAGE.name)))?;
    let socket = handover::take_socket()?;
    let page = SharedPage::open(handover::receive_page(&socket)?)?;
    let own = rustix::process::getpid();
    if rustix::process::getpgrp() != own {
        // So that it can end all that tasks have started, and nothing else.
        rustix::process::setpgid(None, None)?;
    }
    Ok((host(page, socket)?, image))
}

/// What the threads of this process share, which is limited as the page says from now on.
pub(super) fn host(page: SharedPage, socket: OwnedFd) -> io::Result<&'static Host> {
    let (memory, stack) = page.limits();
    if memory > 0 {
        let limit = Rlimit { current: Some(memory), maximum: Some(memory) };
        rustix::process::setrlimit(Resource::Data, limit)?;
    }
    let stack = if stack == 0 { DEFAULT_STACK } else { stack };
    let own_dir = env::WORKER_DIR.get().map(PathBuf::from);
    if own_dir.is_some() {
        environment::remove(env::WORKER_DIR.name);
        // Nor is what tasks put elsewhere for others to read.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
    let stack = usize::try_from(stack).map_err(|error| bad(format!("stack size: {error}")))?;
    panics::install_hook();
    // It lives as long as the process; its threads end with it.
    Ok(Box::leak(Box::new(Host::new(page, Outbox::new(socket), stack, own_dir))))
}

/// Starts the threads that run tasks and send results, and greets.
pub(super) fn start(host: &'static Host, image: ImageId, resolve: Resolve) -> io::Result<()> {
    OWN.get_or_init(|| (image, fastrand::u32(..)));
    current::set_page(&host.page);
    let thread = |name: &str, stack| std::thread::Builder::new().name(name.to_owned()).stack_size(stack);
    thread("flusher", 256 << 10).spawn(move || host.flusher.run(host))?;
    thread("task", host.stack).spawn(move || {
        // Users' code is kept apart from ours; whatever gets through to here would leave the process deaf.
        let ended = catch_unwind(AssertUnwindSafe(|| work(host, image, resolve)));
        let Err(_) = ended;
        eprintln!("rustwren: the thread that runs tasks has panicked outside of a task");
        std::process::abort();
    })?;
    let hello = Hello { protocol: PROTOCOL, image, pid: std::process::id() };
    let mut out = Vec::new();
    Up::append_hello(&mut out, &hello).map_err(|error| bad(error.to_string()))?;
    host.outbox.send_now(&host.page, &out);
    Ok(())
}

/// This function process's image, and a number that hardly another has.
static OWN: OnceLock<(ImageId, u32)> = OnceLock::new();

/// The image of this function process; `None` in other processes.
pub(crate) fn own_image() -> Option<ImageId> {
    OWN.get().map(|(image, _)| *image)
}

/// A number that stands for this function process; 0 in other processes.
pub(crate) fn number() -> u32 {
    OWN.get().map_or(0, |(_, number)| *number)
}

/// Receives until the end, which is the process's.
pub(super) fn read(host: &Host) -> ! {
    let mut buffer = vec![0; 64 << 10];
    let mut frames = FrameBuffer::new();
    let mut messages = Vec::new();
    loop {
        let read = match host.outbox.receive(&mut buffer) {
            Ok(0) | Err(_) => die(&host.page),
            Ok(read) => read,
        };
        frames.extend(&buffer[..read]);
        let mut answered = false;
        loop {
            let message = match frames.next(Down::limit) {
                Ok(None) => break,
                Ok(Some(frame)) => Down::decode(frame),
                Err(error) => Err(error),
            };
            match message {
                Ok(Down::HandBack { call }) => {
                    host.control.push(&mut messages);
                    host.control.hand_back(call, &host.outbox);
                    answered = true;
                }
                Ok(Down::Shutdown) => {
                    host.control.push(&mut messages);
                    if host.control.running().is_some() {
                        die(&host.page);
                    }
                    exit(0);
                }
                Ok(message) => messages.push(message),
                Err(error) => {
                    eprintln!("rustwren: from the supervisor: {error}");
                    die(&host.page);
                }
            }
        }
        host.control.push(&mut messages);
        if answered {
            host.outbox.flush(&host.page);
        }
    }
}

/// A job as this process knows it.
struct Job {
    spec: Arc<JobSpec>,
    shared: Bytes,
    opened: Option<Result<(&'static Function, Shared), String>>,
}

/// Takes up what the supervisor sends, in order.
fn work(host: &'static Host, image: ImageId, resolve: Resolve) -> std::convert::Infallible {
    let runtime = OnceLock::new();
    let mut jobs: HashMap<u32, Job> = HashMap::new();
    loop {
        let message = host.control.try_next().unwrap_or_else(|| {
            host.outbox.flush(&host.page);
            host.control.next()
        });
        match message {
            Down::Job { key, spec, shared } => {
                jobs.insert(key, Job { spec: Arc::from(spec), shared, opened: None });
            }
            Down::Forget { key } => {
                let job = jobs.remove(&key);
                // The shared value is the user's and may panic when it is dropped.
                if catch_unwind(AssertUnwindSafe(|| drop(job))).is_err() {
                    eprintln!("rustwren: dropping a job's shared value panicked");
                }
            }
            Down::Run(run) => {
                call(host, image, resolve, &runtime, jobs.get_mut(&run.job), &run);
            }
            // Dealt with as they arrive.
            Down::HandBack { .. } | Down::Shutdown => {}
        }
    }
}

fn call(
    host: &'static Host,
    image: ImageId,
    resolve: Resolve,
    runtime: &OnceLock<tokio::runtime::Runtime>,
    job: Option<&mut Job>,
    run: &Run,
) {
    let refuse = |message: &str| {
        host.control.finished();
        host.outbox.refused(run.call, message);
    };
    let Some(job) = job else {
        return refuse("its job has not been sent");
    };
    if run.count > MAX_COUNT {
        return refuse("it has too many elements");
    }
    let begun = monotonic_nanos();
    host.begin(run.call);
    if job.opened.is_none() {
        // Opening runs code of the user's: the first element is to blame for what that does to the process.
        host.page.set_started_alone(1);
        host.page.enter(0, 0, begun);
        job.opened = Some(open(&job.spec, &job.shared, image, resolve));
        job.shared = Bytes::new();
        host.page.leave(0);
        host.check_output(run.call, 1, 0);
    }
    let (function, shared) = match &job.opened {
        Some(Ok((function, shared))) => (function, shared),
        Some(Err(message)) => return refuse(message),
        None => return refuse("it was not opened"),
    };
    current::set_job(Some(&job.spec));
    let chunk = Chunk { host, runtime, job: &job.spec, run };
    // The loops keep panics of elements to themselves; one that comes through is from around them.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (function.run)(&chunk, &**shared))) {
        eprintln!("rustwren: between tasks: {}", panics::failure(payload));
    }
    if run.concurrency > 1 {
        host.tidy();
    }
    let started = host.page.started();
    host.check_output(run.call, started.max(1), started);
    current::set_job(None);
    host.control.finished();
    if host.outbox.done(&host.page, run.call, monotonic_nanos().saturating_sub(begun)) {
        host.flusher.results_wait();
    }
}

fn open(
    spec: &JobSpec,
    shared: &[u8],
    image: ImageId,
    resolve: Resolve,
) -> Result<(&'static Function, Shared), String> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let function = resolve(&spec.entry, image)?;
        let shared =
            (function.open)(shared).map_err(|failure| format!("the job's shared value: {failure}"))?;
        Ok((function, shared))
    }));
    opened.unwrap_or_else(|payload| Err(format!("the job's shared value: {}", panics::failure(payload))))
}

//! The task that looks after one process, from its start to its end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::failure::FailureKind;
use rustwren_core::invoker::LogLine;
use rustwren_core::protocol::frame::FrameBuffer;
use rustwren_core::protocol::message::{Down, Hello, PROTOCOL, Up};
use rustwren_core::worker::{Busy, MAX_OUTPUT, dropped_note, read_tail};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::output::Output;
use crate::pool::Inner;
use crate::process::{Process, describe};
use crate::settle::Death;
use crate::state::{Kill, Status, Told};

/// How long a process that has closed its connection may take to be gone, before it is ended.
const LEAVE: Duration = Duration::from_secs(2);

/// Starts a process in a place and looks after it until it ends.
pub(crate) async fn drive(place: Place) {
    let (inner, index) = (Arc::clone(&place.inner), place.index);
    let begun = Instant::now();
    let options = inner.options.clone();
    let started = tokio::task::spawn_blocking(move || Process::start(&options)).await;
    let started = started.unwrap_or_else(|error| Err(io::Error::other(error)));
    let (process, socket) = match started.and_then(|(p, s)| Ok((p, UnixStream::from_std(s)?))) {
        Ok(started) => started,
        Err(error) => {
            let message = format!("a function process could not be started: {error}");
            inner.with(|state| {
                let class = ErrorClass::Misconfigured;
                state.start_failed(index, || BackendError::new(class, message.clone()), Instant::now());
            });
            return;
        }
    };
    let mut connection = Connection { socket, frames: FrameBuffer::new(), output: Output::default() };
    let open = inner.with(|state| {
        state.workers[index].page = Some(process.page.clone());
        state.workers[index].process = Some(process);
        !state.closed
    });
    if !open {
        return;
    }
    match timeout(inner.options.start_timeout, connection.hello()).await {
        Ok(Ok(hello)) if hello.protocol == PROTOCOL && hello.image == inner.options.image => {}
        Ok(Ok(hello)) => {
            let message = format!(
                "the function process speaks protocol {} as image {}, expected {PROTOCOL} and {}",
                hello.protocol, hello.image, inner.options.image
            );
            return not_started(&inner, index, &message, false).await;
        }
        Ok(Err(error)) => {
            let message = format!("its connection ended ({error})");
            return not_started(&inner, index, &message, true).await;
        }
        Err(_) => {
            let message = format!("it did not within {:?}", inner.options.start_timeout);
            return not_started(&inner, index, &message, false).await;
        }
    }
    inner.with(|state| {
        let worker = &mut state.workers[index];
        worker.status = Status::Ready;
        worker.pace = None;
        worker.cold = Some(begun.elapsed());
        state.dispatch(Instant::now());
    });
    let end = connection.serve(&inner, index).await;
    bury(&inner, index, connection, end).await;
    drop(place);
}

/// A place that a driver looks after. Should the driver be dropped with its runtime, the place becomes free and
/// its process ends.
pub(crate) struct Place {
    pub(crate) inner: Arc<Inner>,
    pub(crate) index: usize,
    pub(crate) generation: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let process = self.inner.with(|state| {
            let worker = &mut state.workers[self.index];
            if worker.generation != self.generation {
                // The place has its next driver already.
                return None;
            }
            let process = worker.process.take();
            if worker.status == Status::Starting {
                worker.status = Status::Empty;
            }
            if worker.status != Status::Empty && process.is_some() {
                // Its runtime is going away under it.
                let death = Death {
                    kind: FailureKind::Lost,
                    message: String::new(),
                    log_tail: String::new(),
                    call: worker.page.as_ref().map_or(0, |page| page.call()),
                    started: 0,
                    busy: Vec::new(),
                    parked: Vec::new(),
                    kill: Some(Kill::Cancelled),
                };
                state.bury(self.index, &death, Instant::now());
            }
            process
        });
        drop(process);
    }
}

/// A process has not become a function process.
async fn not_started(inner: &Inner, index: usize, what: &str, leaving: bool) {
    let process = inner.with(|state| state.workers[index].process.take());
    let Some(mut process) = process else { return };
    let ended = if leaving { wait(&mut process).await } else { process.try_reap() };
    process.end();
    let tail = process.tail();
    let mut message = format!("the program did not reach rustwren::init(): {what}");
    if ended.is_some() {
        message = format!("{message}; {}", describe(ended));
    }
    if !tail.is_empty() {
        message = format!("{message}; its last output:\n{}", tail.trim_end());
    }
    let hint = "put #[rustwren::main] on main, or call rustwren::init() first thing in it; a program that runs \
                under `cargo test` has another main, so start jobs from a program of their own there";
    let error = || BackendError::new(ErrorClass::Misconfigured, message.clone()).with_hint(hint);
    inner.with(|state| state.start_failed(index, error, Instant::now()));
}

/// Why a connection has ended.
enum End {
    /// The other side has closed it.
    Closed,
    /// We end it, or somebody has ended the pool.
    Ours,
}

struct Connection {
    socket: UnixStream,
    frames: FrameBuffer,
    output: Output,
}

impl Connection {
    async fn hello(&mut self) -> io::Result<Hello> {
        loop {
            if let Some(frame) = self.frames.next(Up::limit).map_err(io::Error::other)? {
                return match Up::decode(frame).map_err(io::Error::other)? {
                    Up::Hello(hello) => Ok(hello),
                    _ => Err(io::Error::other("it does not greet")),
                };
            }
            if self.socket.read_buf(self.frames.room()).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Feeds the process and takes in what it says, until it ends.
    async fn serve(&mut self, inner: &Inner, index: usize) -> End {
        let Self { socket, frames, output } = self;
        let (mut reading, writing) = socket.split();
        let (notify, watch) = inner.with(|state| {
            let worker = &state.workers[index];
            // Sees the end of a process whose connection a child of its own still holds open.
            (worker.notify.clone(), worker.process.as_ref().and_then(|process| process.exit_watch().ok()))
        });
        loop {
            let wake_at = match prepare(inner, index, output) {
                Next::End => return End::Ours,
                Next::WaitUntil(at) => at,
            };
            if output.write(&writing).is_err() {
                return End::Closed;
            }
            let wake = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = reading.read_buf(frames.room()) => {
                    if !matches!(read, Ok(1..)) {
                        return End::Closed;
                    }
                    take_in(inner, index, frames);
                }
                ready = writing.writable(), if !output.is_empty() => {
                    if ready.is_err() {
                        return End::Closed;
                    }
                }
                () = notify.notified() => {}
                () = async {
                    match &watch {
                        Some(watch) if watch.readable().await.is_ok() => {}
                        _ => std::future::pending().await,
                    }
                } => return End::Closed,
                () = wake => inner.with(|state| {
                    let now = Instant::now();
                    if state.workers[index].check_at.is_some_and(|at| at <= now) {
                        state.workers[index].check_at = None;
                        state.check(index, now);
                    }
                }),
            }
        }
    }
}

/// Takes in all whole frames that have arrived.
fn take_in(inner: &Inner, index: usize, frames: &mut FrameBuffer) {
    inner.with(|state| {
        let now = Instant::now();
        loop {
            let message = match frames.next(Up::limit) {
                Ok(None) => break,
                Ok(Some(frame)) => Up::decode(frame),
                Err(error) => Err(error),
            };
            let taken = match message {
                Ok(message) => state.receive(index, message, now).map_err(str::to_owned),
                Err(error) => Err(error.to_string()),
            };
            if let Err(what) = taken {
                state.end_process(index, Kill::Garbage(what));
                break;
            }
        }
        state.received(index);
        state.dispatch(now);
    });
}

/// What a driver does next.
enum Next {
    /// The process is to end.
    End,
    /// Send, and look again when something happens, or by this time.
    WaitUntil(Option<Instant>),
}

/// Writes down what is to be sent to the process.
fn prepare(inner: &Inner, index: usize, output: &mut Output) -> Next {
    inner.with(|state| {
        if state.closed || state.workers[index].status == Status::Ending {
            return Next::End;
        }
        let worker = &mut state.workers[index];
        for key in worker.forget.drain(..) {
            if let Some(position) = worker.known.iter().position(|&known| known == key) {
                worker.known.swap_remove(position);
                Down::append_forget(&mut output.tail, key);
            }
        }
        while let Some(&key) = state.workers[index].pipeline.get(state.workers[index].sent) {
            if let (Some(run), Some(piece)) = (state.run_of(key), state.pieces.get(key)) {
                let worker = &mut state.workers[index];
                if !worker.known.contains(&run.job) {
                    let job = state.jobs.iter().find(|job| job.key == run.job);
                    if let Some((job, spec)) = job.and_then(|job| Some((job, job.spec.upgrade()?))) {
                        let len = job.shared.iter().map(bytes::Bytes::len).sum();
                        if Down::append_job(&mut output.tail, run.job, &spec, len).is_ok() {
                            output.add(&job.shared, len);
                            worker.known.push(run.job);
                        }
                    }
                }
                let len = piece.inputs.iter().map(bytes::Bytes::len).sum();
                Down::append_run(&mut output.tail, &run, len);
                output.add(&piece.inputs, len);
            }
            state.workers[index].sent += 1;
        }
        let worker = &mut state.workers[index];
        for call in worker.ask_back.drain(..) {
            Down::append_hand_back(&mut output.tail, call);
        }
        let now = Instant::now();
        let look = state.balance(index, now);
        if state.workers[index].pipeline.is_empty() {
            state.workers[index].check_at = None;
        }
        Next::WaitUntil([look, state.workers[index].check_at].into_iter().flatten().min())
    })
}

/// Finds out how a process has ended, and settles what it had.
async fn bury(inner: &Inner, index: usize, mut connection: Connection, end: End) {
    let process = inner.with(|state| {
        state.workers[index].status = Status::Ending;
        state.workers[index].process.take()
    });
    // Taken by whoever closed the pool.
    let Some(mut process) = process else { return };
    let by_itself = match end {
        End::Closed => wait(&mut process).await,
        End::Ours => None,
    };
    let status = by_itself.or_else(|| process.end());
    process.end();
    // What it sent before its end still counts.
    let mut read = 0;
    while let Ok(1..) = connection.socket.try_read_buf(connection.frames.room()) {
        take_in_last(inner, index, &mut connection.frames);
        read += 1;
        if read % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let page = process.page.clone();
    let busy: Vec<Busy> = page.busy().collect();
    let log_tail = process.tail();
    let kill = inner.with(|state| state.workers[index].kill.clone());
    let (kind, message) = match &kill {
        Some(Kill::Garbage(what)) => (FailureKind::Connection, what.clone()),
        _ if page.is_disconnected() || (kill.is_none() && by_itself.is_none()) => {
            (FailureKind::Connection, "it closed its connection to the supervisor".to_owned())
        }
        _ => classify(status, &process.last_errors()),
    };
    let death = Death {
        kind,
        message,
        log_tail,
        call: page.call(),
        started: page.started(),
        busy,
        parked: page.parked().collect(),
        kill,
    };
    inner.with(|state| {
        last_output(state, &process, &death);
        state.bury(index, &death, Instant::now());
    });
}

/// Gives a process that has closed its connection time to be gone.
async fn wait(process: &mut Process) -> Option<ExitStatus> {
    if let Some(status) = process.try_reap() {
        return Some(status);
    }
    let watch = process.exit_watch().ok()?;
    match timeout(LEAVE, watch.readable()).await {
        Ok(Ok(_)) => process.try_reap(),
        _ => None,
    }
}

/// As [`take_in`], from a process that has ended.
fn take_in_last(inner: &Inner, index: usize, frames: &mut FrameBuffer) {
    inner.with(|state| {
        while let Ok(Some(frame)) = frames.next(Up::limit) {
            let now = Instant::now();
            if !Up::decode(frame).is_ok_and(|message| state.receive(index, message, now).is_ok()) {
                break;
            }
        }
    });
}

/// What a process did that ended like this.
fn classify(status: Option<ExitStatus>, errors: &str) -> (FailureKind, String) {
    let aborted = status.and_then(|status| status.signal()) == Some(rustix::process::Signal::ABORT.as_raw());
    let last = |text: &str| {
        let line = errors.lines().rev().find(|line| line.contains(text));
        line.map(|line| line.trim().to_owned())
    };
    if aborted && let Some(line) = last("has overflowed its stack") {
        return (FailureKind::StackOverflow, line);
    }
    if aborted && let Some(line) = last("memory allocation of ") {
        return (FailureKind::OutOfMemory, line);
    }
    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => (FailureKind::Exit(code), String::new()),
        Some((_, Some(signal))) => (FailureKind::Signal(signal), String::new()),
        _ => (FailureKind::Lost, "how its process ended is not known".to_owned()),
    }
}

/// Passes on what the process has written and not sent on any more.
fn last_output(state: &mut crate::state::State, process: &Process, death: &Death) {
    let Some(key) = state.piece_key(death.call) else {
        return;
    };
    let Some(piece) = state.pieces.get(key) else {
        return;
    };
    let Some(call) = piece.call.and_then(|call| state.calls.get(call)) else {
        return;
    };
    let element = death.busy.first().map(|busy| busy.element);
    let (offset, count) = match (element, death.busy.len()) {
        (Some(element), 1) => (element, 1),
        _ => (0, death.started.max(1)),
    };
    for stream in 0..2 {
        let (mark, forwarded) = process.page.output(stream);
        let size = process.output_size(stream);
        let mut from = forwarded;
        let end = size.min(mark.saturating_add(MAX_OUTPUT));
        let mut tell = |bytes: bytes::Bytes| {
            let line =
                LogLine { offset: piece.offset.saturating_add(offset), count, stderr: stream == 1, bytes };
            state.told.push(Told::Log(call.events.clone(), call.invocation, line));
        };
        while from < end {
            // Pieces of the size that one read of the tail gives.
            let to = end.min(from + rustwren_core::worker::MAX_TAIL as u64);
            let bytes = read_tail(&process.output[stream], from, to);
            if bytes.is_empty() {
                break;
            }
            from += bytes.len() as u64;
            tell(bytes.into());
        }
        if size > from.max(forwarded) {
            tell(dropped_note(size - from.max(forwarded)).into_bytes().into());
        }
    }
}

//! The task that looks after one process, from its start to its end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::failure::FailureKind;
use rustwren_core::protocol::frame::FrameBuffer;
use rustwren_core::protocol::message::{Down, Hello, PROTOCOL, Up};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::burial::{bury, wait};
use crate::output::Output;
use crate::pool::Inner;
use crate::process::{Process, describe};
use crate::settle::Death;
use crate::state::{Kill, Status};

/// How long a process that starts holds up those that are to start behind it: more than it takes one that only computes,
/// little for one that waits for something.
const TURN: Duration = Duration::from_millis(20);

/// Starts a process in a place and looks after it until it ends.
pub(crate) async fn drive(place: Place) {
    let (inner, index) = (Arc::clone(&place.inner), place.index);
    let begun = Instant::now();
    let options = inner.options.clone();
    let turn = inner.turns.acquire().await;
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
    let hello = {
        let mut hello = pin!(timeout(inner.options.start_timeout, connection.hello()));
        let soon = timeout(TURN, &mut hello).await;
        drop(turn);
        match soon {
            Ok(hello) => hello,
            Err(_) => hello.await,
        }
    };
    match hello {
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
pub(crate) enum End {
    /// The other side has closed it.
    Closed,
    /// We end it, or somebody has ended the pool.
    Ours,
}

pub(crate) struct Connection {
    pub(crate) socket: UnixStream,
    pub(crate) frames: FrameBuffer,
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
        let beat = state.beat(index, now);
        Next::WaitUntil([look, beat, state.workers[index].check_at].into_iter().flatten().min())
    })
}

//! What is done about a process that has ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustwren_core::failure::FailureKind;
use rustwren_core::invoker::LogLine;
use rustwren_core::protocol::frame::FrameBuffer;
use rustwren_core::protocol::message::Up;
use rustwren_core::worker::{Busy, MAX_OUTPUT, dropped_note, read_tail};
use tokio::time::timeout;

use crate::driver::{Connection, End};
use crate::pool::Inner;
use crate::process::Process;
use crate::settle::Death;
use crate::state::{Kill, Status, Told};

/// How long a process that has closed its connection may take to be gone, before it is ended.
const LEAVE: Duration = Duration::from_secs(2);

/// Finds out how a process has ended, and settles what it had.
pub(crate) async fn bury(inner: &Inner, index: usize, mut connection: Connection, end: End) {
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
    if let Some(private) = process.take_private() {
        // Before anybody hears how its work has ended; and the disk may take its time.
        drop(tokio::task::spawn_blocking(move || drop(private)).await);
    }
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
pub(crate) async fn wait(process: &mut Process) -> Option<ExitStatus> {
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

//! What goes to the supervisor: collected in memory, sent in few system calls.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::net::SendFlags;

use super::current::monotonic_nanos;
use crate::protocol::message::{MAX_LOG, OpenResults, Up};
use crate::raw::page::SharedPage;

/// As soon as so many bytes wait, they are sent.
const FULL: usize = 64 << 10;
/// A result record of this size is sent by itself rather than copied.
const LARGE: usize = 128 << 10;
/// Buffers that have grown beyond this are given back after use.
const KEEP: usize = 1 << 20;
/// So many finished calls are announced at the latest, so that the supervisor can send more in time.
const CALLS: u32 = 24;
/// The end of a call that took longer than this is announced at once: few are under way then.
const LONG_CALL_NANOS: u64 = 30_000;
/// Results do not wait longer than this while others are made.
const MAX_AGE_NANOS: u64 = 1_000_000;

/// The sending end of the socket.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: OwnedFd,
    /// Held while sending; what it guards is the buffer that is sent or was sent last.
    sending: Mutex<Vec<u8>>,
    waiting: Mutex<Waiting>,
    /// When the oldest byte that waits was put in, in nanoseconds of the monotonic clock; 0 if none waits.
    oldest: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    open: Option<OpenResults>,
    calls: u32,
}

impl Waiting {
    /// Ends the results that are being collected and gives the bytes that frames can be appended to.
    fn frames(&mut self) -> &mut Vec<u8> {
        if let Some(open) = self.open.take() {
            open.finish(&mut self.bytes, 0);
        }
        &mut self.bytes
    }
}

/// Our own code does not panic while it holds a lock; if it ever did, going on is better than dying with it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process, and with it everything that tasks started, because the supervisor cannot be reached.
pub(super) fn die(page: &SharedPage) -> ! {
    page.set_disconnected();
    let own = rustix::process::getpid();
    if rustix::process::getpgrp() == own
        && let Err(error) = rustix::process::kill_current_process_group(rustix::process::Signal::KILL)
    {
        eprintln!("rustwren: cannot end the process group: {error}");
    }
    std::process::abort()
}

impl Outbox {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, sending: Mutex::default(), waiting: Mutex::default(), oldest: AtomicU64::new(0) }
    }

    /// Puts the result record of an element, or of a list of `count` that begins with it, in line; sends if enough has
    /// come together, or waited for long by `now`. Without a `now` the end of the call follows at once. Returns whether
    /// it begins to wait for others.
    #[inline]
    pub(super) fn result(
        &self,
        page: &SharedPage,
        call: u64,
        (element, count): (u32, u32),
        record: &[u8],
        now: Option<u64>,
    ) -> bool {
        if record.len() >= LARGE {
            self.large_result(page, call, (element, count), record);
            return false;
        }
        let mut guard = lock(&self.waiting);
        let waiting = &mut *guard;
        let mut open = match waiting.open {
            Some(open) if open.takes(call, element) => open,
            _ => OpenResults::begin(waiting.frames(), call, element),
        };
        open.push(&mut waiting.bytes, record, count);
        waiting.open = Some(open);
        let full = waiting.bytes.len() >= FULL;
        let oldest = self.oldest.load(Ordering::Relaxed);
        if let Some(now) = now
            && oldest == 0
        {
            self.oldest.store(now.max(1), Ordering::SeqCst);
        }
        drop(guard);
        if full || now.is_some_and(|now| oldest != 0 && now.saturating_sub(oldest) > MAX_AGE_NANOS) {
            self.flush(page);
            return false;
        }
        now.is_some() && oldest == 0
    }

    fn large_result(&self, page: &SharedPage, call: u64, (element, count): (u32, u32), record: &[u8]) {
        let mut sending = lock(&self.sending);
        self.take(&mut sending);
        let mut open = OpenResults::begin(&mut sending, call, element);
        open.push(&mut sending, &[], count);
        // What was taken stands before this frame and is finished; only the lengths of this one are open.
        open.finish(&mut sending, record.len());
        self.send(page, &sending);
        self.send(page, record);
        sending.clear();
    }

    /// Puts frames in line that are not results.
    fn frame(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = lock(&self.waiting);
        write(waiting.frames());
        if self.oldest.load(Ordering::Relaxed) == 0 {
            self.oldest.store(monotonic_nanos().max(1), Ordering::SeqCst);
        }
    }

    /// Announces the end of a call; sends if that should not wait for the next. Returns whether it waits.
    #[inline]
    pub(super) fn done(&self, page: &SharedPage, call: u64, compute: u64) -> bool {
        let mut waiting = lock(&self.waiting);
        Up::append_done(waiting.frames(), call, compute);
        waiting.calls += 1;
        let full = waiting.calls >= CALLS || compute > LONG_CALL_NANOS || waiting.bytes.len() >= FULL;
        if self.oldest.load(Ordering::Relaxed) == 0 {
            self.oldest.store(monotonic_nanos().max(1), Ordering::SeqCst);
        }
        drop(waiting);
        if full {
            self.flush(page);
        }
        !full
    }

    pub(super) fn refused(&self, call: u64, message: &str) {
        self.frame(|out| Up::append_refused(out, call, message));
    }

    /// A call is given back before it began: nothing of it will be run, and it is over.
    pub(super) fn returned_whole(&self, call: u64) {
        self.frame(|out| {
            Up::append_returned(out, call, 0);
            Up::append_done(out, call, 0);
        });
    }

    /// Elements of the running call are given back.
    pub(super) fn returned(&self, call: u64, from: u32) {
        self.frame(|out| Up::append_returned(out, call, from));
    }

    /// Puts output in line, in pieces of any size, and sends if there is a lot of it.
    pub(super) fn log(
        &self,
        page: &SharedPage,
        call: u64,
        (offset, count): (u32, u32),
        stderr: bool,
        bytes: &[u8],
    ) {
        for piece in bytes.chunks(MAX_LOG) {
            self.frame(|out| Up::append_log(out, call, offset, count, stderr, piece));
        }
        if bytes.len() >= FULL {
            self.flush(page);
        }
    }

    pub(super) fn send_now(&self, page: &SharedPage, frame: &[u8]) {
        self.frame(|out| out.extend_from_slice(frame));
        self.flush(page);
    }

    /// When the oldest byte that waits was put in; 0 if none waits.
    #[inline]
    pub(super) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::SeqCst)
    }

    /// Moves what waits to the end of `sending`, which is empty.
    fn take(&self, sending: &mut Vec<u8>) {
        let mut waiting = lock(&self.waiting);
        waiting.frames();
        waiting.calls = 0;
        std::mem::swap(&mut waiting.bytes, sending);
        self.oldest.store(0, Ordering::Relaxed);
    }

    /// Sends what waits. Frames leave in the order in which they were put in line.
    pub(super) fn flush(&self, page: &SharedPage) {
        let mut sending = lock(&self.sending);
        self.take(&mut sending);
        self.send(page, &sending);
        sending.clear();
        if sending.capacity() > KEEP {
            *sending = Vec::new();
        }
    }

    fn send(&self, page: &SharedPage, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // `send` rather than `write`: should a task have closed the socket and the number now be that of
            // another file, nothing is written to it.
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent.min(bytes.len())..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => die(page),
            }
        }
    }

    /// Reads what the supervisor sends. 0 at the end.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, rustix::net::RecvFlags::empty()) {
                Ok((read, _)) => return Ok(read),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

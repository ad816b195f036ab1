//! What the threads of a function process share.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::capture::Capture;
use super::control::Control;
use super::flusher::Flusher;
use super::outbox::{Outbox, lock};
use super::panics;
use crate::failure::{FailureKind, TaskFailure};
use crate::raw::page::SharedPage;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) page: SharedPage,
    pub(super) outbox: Outbox,
    pub(super) control: Control,
    pub(super) flusher: Flusher,
    /// The stack of threads that run tasks, in bytes.
    pub(super) stack: usize,
    /// The folder that is this process's alone, if it has one.
    own_dir: Option<PathBuf>,
    capture: Mutex<Capture>,
    /// The first element of the running call whose output has not been told from that of others.
    low: AtomicU32,
}

impl Host {
    pub(super) fn new(page: SharedPage, outbox: Outbox, stack: usize, own_dir: Option<PathBuf>) -> Self {
        Self {
            page,
            outbox,
            control: Control::default(),
            flusher: Flusher::default(),
            stack,
            own_dir,
            capture: Mutex::new(Capture::new()),
            low: AtomicU32::new(0),
        }
    }

    /// A call begins.
    pub(super) fn begin(&self, call: u64) {
        self.low.store(0, Ordering::Relaxed);
        self.page.begin_call(call);
        self.flusher.call_begins();
    }

    /// Removes what tasks have left in the folder that is this process's alone.
    #[inline]
    pub(super) fn tidy(&self) {
        if let Some(dir) = &self.own_dir {
            empty(dir);
        }
    }

    /// The elements that may have written what is found now, if it ends before `end`.
    fn tag(&self, end: u32) -> (u32, u32) {
        let low = self.low.load(Ordering::Relaxed).min(end.saturating_sub(1));
        (low, (end - low).max(1))
    }

    /// Passes on what the elements up to `end` have written. Of those begun, `still` is the first still running.
    pub(super) fn check_output(&self, call: u64, end: u32, still: u32) {
        flush_stdout();
        let mut capture = lock(&self.capture);
        capture.check(&self.outbox, &self.page, call, self.tag(end), true);
        self.low.store(still, Ordering::Relaxed);
    }

    /// Adds what its element wrote last to a failure.
    pub(super) fn add_tail(&self, call: u64, end: u32, failure: &mut TaskFailure) {
        flush_stdout();
        let mut capture = lock(&self.capture);
        // The panic's message is in the failure; its report is passed on with the rest of the output.
        let stderr_end = panics::take_stderr_length().filter(|_| failure.kind == FailureKind::Panic);
        failure.log_tail = capture.tail(&self.outbox, &self.page, call, self.tag(end), stderr_end);
    }

    /// Passes on what a long-running element has written so far.
    pub(super) fn forward_output(&self) {
        let mut capture = lock(&self.capture);
        // With the capture locked, no element's end is being noted; a call that ends now is told from the next
        // by its number, which is written before any of its elements begins.
        let Some(call) = self.control.running() else {
            return;
        };
        let started = self.page.started();
        if started > 0 && self.page.call() == call {
            capture.check(&self.outbox, &self.page, call, self.tag(started), false);
        }
    }
}

#[cold]
fn empty(dir: &Path) {
    let failed = |error: std::io::Error| eprintln!("rustwren: what a task has left behind stays: {error}");
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return failed(error),
    };
    for entry in entries {
        let removed = entry.and_then(|entry| {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            }
        });
        removed.unwrap_or_else(failed);
    }
    // A task may have gone elsewhere, and the next one begins here.
    std::env::set_current_dir(dir).unwrap_or_else(failed);
}

/// Moves what `print!` has left in the program's buffer to where it can be seen.
fn flush_stdout() {
    use std::io::Write;
    if std::io::stdout().flush().is_err() {
        // The task has closed its stdout; then there is nothing to be seen.
    }
}

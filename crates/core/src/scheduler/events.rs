//! What invokers report while invocations are under way, collected for the job's next turn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;

use crate::invoker::{Events, LogLine, ResultBatch};

/// One report.
#[derive(Debug)]
pub(super) enum Event {
    Results(u64, ResultBatch),
    Started(u64),
    Alive(u64),
    Log(u64, LogLine),
}

#[derive(Debug, Default)]
pub(super) struct EventBuffer {
    waiting: Mutex<Vec<Event>>,
    any: AtomicBool,
    waker: AtomicWaker,
}

impl EventBuffer {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// All reports since the last call, swapped into `into` (which must be empty).
    pub(super) fn take(&self, cx: &Context<'_>, into: &mut Vec<Event>) {
        self.waker.register(cx.waker());
        if self.any.swap(false, Ordering::AcqRel) {
            std::mem::swap(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner), into);
        }
    }

    fn push(&self, event: Event) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        if !self.any.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

impl Events for EventBuffer {
    fn results(&self, invocation: u64, batch: ResultBatch) {
        self.push(Event::Results(invocation, batch));
    }

    fn started(&self, invocation: u64) {
        self.push(Event::Started(invocation));
    }

    fn alive(&self, invocation: u64) {
        self.push(Event::Alive(invocation));
    }

    fn log(&self, invocation: u64, line: LogLine) {
        self.push(Event::Log(invocation, line));
    }
}

//! The answer to an invocation, as bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, LogLine, Reply, ResultBatch};
use rustwren_core::protocol::answer::{Answer, PREAMBLE};

use super::{Host, Room};
use crate::life::Life;

/// Bytes of an answer that may wait for a client that does not read. Results beyond that are not reported, and so
/// handed back.
const BACKLOG: usize = 256 << 20;

/// Makes bytes of events.
#[derive(Debug)]
pub(super) struct AnswerPipe(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    dropped: bool,
    waker: Option<Waker>,
}

impl AnswerPipe {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { bytes: PREAMBLE.to_vec(), ..State::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, write: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        write(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has been written since the last time.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().bytes)
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Vec<u8>> {
        let mut state = self.lock();
        if state.bytes.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut state.bytes))
    }

    /// Writes the last frame.
    pub(super) fn finish(&self, outcome: Result<Reply, BackendError>) {
        self.write(|state| match outcome {
            Ok(mut reply) => {
                for batch in &reply.results {
                    Answer::append_results(&mut state.bytes, batch);
                }
                if state.dropped {
                    reply.stopped.get_or_insert_default();
                }
                let ended = Answer::append_end(&mut state.bytes, reply.stopped.as_ref(), &reply.usage);
                if let Err(error) = ended {
                    let error =
                        BackendError::new(ErrorClass::Internal, "a reply has no encoding").with_source(error);
                    Answer::append_refused(&mut state.bytes, &error);
                }
            }
            Err(error) => Answer::append_refused(&mut state.bytes, &error),
        });
    }
}

impl Events for AnswerPipe {
    fn results(&self, _: u64, batch: ResultBatch) {
        self.write(|state| {
            if state.bytes.len() >= BACKLOG {
                state.dropped = true;
            } else {
                Answer::append_results(&mut state.bytes, &batch);
            }
        });
    }

    fn started(&self, _: u64) {
        self.write(|state| Answer::append_started(&mut state.bytes));
    }

    fn alive(&self, _: u64) {
        self.write(|state| {
            if state.bytes.len() < BACKLOG {
                Answer::append_alive(&mut state.bytes);
            }
        });
    }

    fn log(&self, _: u64, line: LogLine) {
        self.write(|state| {
            if state.bytes.len() < BACKLOG {
                Answer::append_log(&mut state.bytes, &line);
            }
        });
    }
}

/// The answer to an invocation while it is written. Dropping it cancels the invocation.
pub struct AnswerStream {
    pipe: Arc<AnswerPipe>,
    /// Writes to the pipe; none when it has written the end.
    run: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl std::fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerStream").field("over", &self.run.is_none()).finish_non_exhaustive()
    }
}

impl AnswerStream {
    /// Runs an invocation while the stream is read. `held` is dropped when it is over.
    pub fn new(
        host: &Arc<Host>,
        invocation: Invocation,
        life: Life,
        room: Room,
        held: impl Send + 'static,
    ) -> Self {
        let (pipe, host) = (AnswerPipe::new(), Arc::clone(host));
        let out = Arc::clone(&pipe);
        let run = Box::pin(async move {
            let events: Arc<dyn Events> = Arc::clone(&out) as _;
            let outcome = host.invoke(invocation, life, room, &events).await;
            drop(held);
            out.finish(outcome);
        });
        Self { pipe, run: Some(run) }
    }

    /// Whether all of the answer has been written, if not yet read.
    pub fn is_complete(&self) -> bool {
        self.run.is_none()
    }
}

impl Stream for AnswerStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(run) = &mut self.run
            && run.as_mut().poll(cx).is_ready()
        {
            self.run = None;
        }
        match self.pipe.poll_take(cx) {
            Poll::Ready(bytes) => Poll::Ready(Some(bytes.into())),
            Poll::Pending if self.run.is_none() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

//! The user's inputs on their way to the scheduler.
//!
//! The iterator is the user's code: it may be slow, block, or be endless. So it runs on a thread of its own,
//! which encodes elements into blocks and stops while enough of them wait.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde::Serialize;

use crate::codec;
use crate::error::{Error, ErrorKind};
use crate::protocol::records::append_input;
use crate::scheduler::input::{Block, InputSource};

/// A block is closed when it has this many elements or bytes.
const BLOCK_ELEMENTS: u32 = 16 << 10;
const BLOCK_BYTES: usize = 256 << 10;
/// The iterator pauses while closed blocks of this many bytes or elements wait.
const AHEAD_BYTES: usize = 4 << 20;
const AHEAD_ELEMENTS: u64 = 256 << 10;

/// What feeds a job: runs on the feeder thread.
pub(super) type Feed = Box<dyn FnOnce(&Intake) + Send>;

/// A job's inputs, not yet asked for.
pub(super) struct Inputs {
    pub(super) total: Option<u64>,
    pub(super) feed: Feed,
}

impl Inputs {
    /// The elements of an iterator.
    pub(super) fn new<It>(iter: It) -> Self
    where
        It: Iterator + Send + 'static,
        It::Item: Serialize,
    {
        let total = match iter.size_hint() {
            (least, Some(most)) if least == most => Some(least as u64),
            _ => None,
        };
        Self { total, feed: Box::new(move |intake| feed(iter, intake)) }
    }
}

fn feed<It>(mut iter: It, intake: &Intake)
where
    It: Iterator,
    It::Item: Serialize,
{
    let mut index = 0_u64;
    let mut record = Vec::new();
    loop {
        let item = match catch_unwind(AssertUnwindSafe(|| iter.next())) {
            Ok(Some(item)) => item,
            Ok(None) => return,
            Err(panic) => {
                return intake.fail(index, &format!("the input iterator panicked: {}", text(&*panic)));
            }
        };
        // Encoding is the user's code as well: it may take its time, so nothing is locked meanwhile, and a panic in
        // it must not pass for the end of the inputs.
        record.clear();
        let encode = || append_input(&mut record, |out| codec::encode(&item, out));
        match catch_unwind(AssertUnwindSafe(encode)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return intake.fail(index, &error.to_string()),
            Err(panic) => {
                return intake.fail(index, &format!("its encoding panicked: {}", text(&*panic)));
            }
        }
        if !intake.push(&mut record) {
            return;
        }
        index += 1;
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// Where the feeder thread puts elements.
pub(super) struct Intake {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    room: Condvar,
}

struct State {
    /// The block that is being filled; the scheduler takes it as it is when it has nothing else.
    open: Vec<u8>,
    open_count: u32,
    closed: VecDeque<Block>,
    closed_elements: u64,
    closed_bytes: usize,
    ended: Option<Result<(), Error>>,
    /// The scheduler is gone.
    unwanted: bool,
    scheduler: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// Takes an element's input record; `false` when no more are wanted. Waits while enough are there.
    fn push(&self, record: &mut Vec<u8>) -> bool {
        let mut state = self.shared.lock();
        if record.len() >= BLOCK_BYTES {
            state.close_block();
            // A block of its own, without a copy.
            state.open = std::mem::take(record);
        } else {
            state.open.extend_from_slice(record);
        }
        state.open_count += 1;
        if state.open_count >= BLOCK_ELEMENTS || state.open.len() >= BLOCK_BYTES {
            state.close_block();
        }
        // Before any wait: the scheduler may be what makes room.
        if let Some(waker) = state.scheduler.take() {
            drop(state);
            waker.wake();
            state = self.shared.lock();
        }
        while !state.unwanted
            && (state.closed_bytes >= AHEAD_BYTES || state.closed_elements >= AHEAD_ELEMENTS)
        {
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.unwanted
    }

    fn fail(&self, index: u64, why: &str) {
        let message = format!("input {index} could not be made: {why}");
        self.shared.lock().ended = Some(Err(Error::new(ErrorKind::Config, message)));
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended.get_or_insert(Ok(()));
        let waker = state.scheduler.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn close_block(&mut self) {
        if self.open_count > 0 {
            let bytes = Bytes::from(std::mem::take(&mut self.open));
            self.closed_bytes += bytes.len();
            self.closed_elements += u64::from(self.open_count);
            self.closed.push_back(Block { count: self.open_count, bytes });
            self.open_count = 0;
        }
    }
}

/// The scheduler's end.
pub(super) struct Fed {
    shared: Arc<Shared>,
    remaining: Option<u64>,
}

impl Fed {
    /// Starts a feeder thread for these inputs.
    pub(super) fn start(inputs: Inputs) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                open: Vec::new(),
                open_count: 0,
                closed: VecDeque::new(),
                closed_elements: 0,
                closed_bytes: 0,
                ended: None,
                unwanted: false,
                scheduler: None,
            }),
            room: Condvar::new(),
        });
        let intake = Intake { shared: Arc::clone(&shared) };
        let feed = inputs.feed;
        let name = "rustwren-inputs".to_owned();
        std::thread::Builder::new().name(name).spawn(move || feed(&intake)).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread could be started for the inputs").with_source(error)
        })?;
        Ok(Self { shared, remaining: inputs.total })
    }
}

impl InputSource for Fed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>> {
        let mut state = self.shared.lock();
        if state.closed.is_empty() {
            state.close_block();
        }
        let Some(block) = state.closed.pop_front() else {
            return match &state.ended {
                Some(Ok(())) => Poll::Ready(None),
                Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
                None => {
                    state.scheduler = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        state.closed_bytes -= block.bytes.len();
        state.closed_elements -= u64::from(block.count);
        let room = state.closed_bytes < AHEAD_BYTES / 2 && state.closed_elements < AHEAD_ELEMENTS / 2;
        drop(state);
        if room {
            self.shared.room.notify_one();
        }
        self.remaining = self.remaining.map(|n| n.saturating_sub(u64::from(block.count)));
        Poll::Ready(Some(Ok(block)))
    }

    fn remaining(&self) -> Option<u64> {
        self.remaining
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.shared.lock().unwanted = true;
        self.shared.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::split_input;

    fn drain(mut fed: Fed) -> Result<Vec<u64>, Error> {
        let mut out = Vec::new();
        while let Some(block) = crate::executor::block_on(std::future::poll_fn(|cx| fed.poll_next(cx))) {
            let block = block?;
            let (mut at, before) = (0, out.len());
            while at < block.bytes.len() {
                let (body, n) = split_input(&block.bytes[at..]).unwrap();
                out.push(codec::decode(body).unwrap());
                at += n;
            }
            assert_eq!(out.len() - before, block.count as usize);
        }
        Ok(out)
    }

    #[test]
    fn every_element_arrives_in_order() {
        let fed = Fed::start(Inputs::new(0..100_000_u64)).unwrap();
        assert_eq!(fed.remaining(), Some(100_000));
        assert_eq!(drain(fed).unwrap(), (0..100_000).collect::<Vec<_>>());
    }

    #[test]
    fn an_endless_iterator_stops_when_nobody_wants_more() {
        let (alive, gone) = std::sync::mpsc::channel::<()>();
        let fed = Fed::start(Inputs::new((0_u64..).inspect(move |_| {
            let _keep = &alive;
        })))
        .unwrap();
        assert_eq!(fed.remaining(), None);
        drop(fed);
        assert!(gone.recv().is_err(), "the iterator is dropped");
    }

    #[test]
    fn a_scheduler_that_waits_is_woken_before_the_feeder_waits() {
        // Each element fills the room ahead, and the scheduler is already waiting when it comes.
        let (give, take) = std::sync::mpsc::channel::<String>();
        let mut fed = Fed::start(Inputs::new(take.into_iter())).unwrap();
        for _ in 0..3 {
            let waiting = std::thread::scope(|scope| {
                let next =
                    scope.spawn(|| crate::executor::block_on(std::future::poll_fn(|cx| fed.poll_next(cx))));
                give.send("x".repeat(AHEAD_BYTES + 1)).unwrap();
                next.join().unwrap()
            });
            assert_eq!(waiting.unwrap().unwrap().count, 1);
        }
    }

    #[test]
    fn a_panicking_iterator_is_an_error_with_its_place() {
        let inputs = Inputs::new((0..10_u64).inspect(|x| assert!(*x != 7, "seven")));
        let text = drain(Fed::start(inputs).unwrap()).unwrap_err().to_string();
        assert!(text.contains("input 7") && text.contains("seven"), "{text}");
    }

    #[test]
    fn an_encoding_that_panics_is_an_error_with_its_place_and_leaves_no_half_element() {
        struct Odd(u64);
        impl Serialize for Odd {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut pair = s.serialize_tuple(2)?;
                pair.serialize_element(&self.0)?;
                assert!(self.0 != 3, "three");
                pair.serialize_element(&self.0)?;
                pair.end()
            }
        }
        let mut fed = Fed::start(Inputs::new((0..5).map(Odd))).unwrap();
        let mut seen = Vec::new();
        let error = loop {
            match crate::executor::block_on(std::future::poll_fn(|cx| fed.poll_next(cx))).unwrap() {
                Ok(block) => {
                    let mut at = 0;
                    while at < block.bytes.len() {
                        let (body, n) = split_input(&block.bytes[at..]).unwrap();
                        seen.push(codec::decode::<(u64, u64)>(body).unwrap());
                        at += n;
                    }
                }
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(seen, [(0, 0), (1, 1), (2, 2)]);
        assert!(error.contains("input 3") && error.contains("three"), "{error}");
    }

    #[test]
    fn an_element_that_cannot_be_encoded_is_an_error_with_its_place() {
        struct Odd(u64);
        impl Serialize for Odd {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if self.0 == 3 {
                    Err(serde::ser::Error::custom("odd one out"))
                } else {
                    s.serialize_u64(self.0)
                }
            }
        }
        let text = drain(Fed::start(Inputs::new((0..5).map(Odd))).unwrap()).unwrap_err().to_string();
        assert!(text.contains("input 3") && text.contains("odd one out"), "{text}");
    }
}

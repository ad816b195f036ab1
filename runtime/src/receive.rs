//! What a function process says.

use std::time::Instant;

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{LogLine, ResultBatch};
use rustwren_core::protocol::message::Up;
use rustwren_core::protocol::records::split_together;

use crate::state::{State, Told};

impl State {
    /// Takes in one message of a process. An error says what is wrong with it.
    pub(crate) fn receive(&mut self, index: usize, message: Up, now: Instant) -> Result<(), &'static str> {
        let (Up::Refused { call: id, .. }
        | Up::Results { call: id, .. }
        | Up::Log { call: id, .. }
        | Up::Done { call: id, .. }
        | Up::Returned { call: id, .. }) = message
        else {
            return Err("it greets a second time");
        };
        let key = self.piece_key(id).filter(|&key| self.pieces[key].worker == Some(index));
        let key = key.ok_or("it speaks of a call that it was not given")?;
        let piece = &mut self.pieces[key];
        match message {
            Up::Results { offset, count, records, .. } => {
                let end = offset.checked_add(count).filter(|&end| end <= piece.count);
                end.ok_or("it sends results of elements that it was not given")?;
                check_records(&records, count)?;
                if !piece.seen.add(offset, offset + count) {
                    return Err("it sends a second result of an element");
                }
                let batch = ResultBatch { offset: piece.offset + offset, count, records };
                if let Some(call) = piece.call.and_then(|call| self.calls.get_mut(call)) {
                    if let Some(life) = &mut call.life {
                        life.done = life.done.saturating_add(count);
                    }
                    call.results.push(batch);
                }
            }
            Up::Done { compute, .. } => {
                let (call, whole) = (piece.call, piece.seen.len() == piece.count);
                let given_back = piece.count == 0;
                self.drop_piece(key);
                self.unline(index, key, now);
                if !given_back {
                    self.note_pace(index, compute);
                }
                if let Some(call) = call {
                    self.note_compute(call, compute);
                    if !whole && let Some(call) = self.calls.get_mut(call) {
                        call.incomplete = true;
                    }
                    self.settle(call);
                    self.tell_unsettled(call);
                }
            }
            Up::Returned { from, .. } => self.take_back(key, from)?,
            Up::Log { offset, count, stderr, bytes, .. } => {
                let line = LogLine { offset: piece.offset.saturating_add(offset), count, stderr, bytes };
                if let Some(call) = piece.call.and_then(|call| self.calls.get(call)) {
                    self.told.push(Told::Log(call.events.clone(), call.invocation, line));
                }
            }
            Up::Refused { message, .. } => {
                let call = piece.call;
                self.drop_piece(key);
                self.unline(index, key, now);
                if let Some(call) = call {
                    self.fail_call(call, BackendError::new(ErrorClass::Misconfigured, message));
                }
            }
            Up::Hello(_) => {}
        }
        Ok(())
    }

    /// Passes on what has come for the piece that is running, after all that has arrived was taken in.
    pub(crate) fn received(&mut self, index: usize) {
        let head = self.workers[index].pipeline.front();
        if let Some(call) = head.and_then(|&key| self.pieces.get(key)).and_then(|piece| piece.call) {
            self.tell_results(call);
        }
    }

    /// A piece of a call is over, others are not.
    fn tell_unsettled(&mut self, call: usize) {
        if self.calls.get(call).is_some_and(|call| call.outcome.is_none()) {
            self.tell_results(call);
        }
    }
}

/// Whether the bytes are so many result records: what comes after trusts them.
fn check_records(mut records: &[u8], count: u32) -> Result<(), &'static str> {
    let mut left = count;
    while left > 0 {
        let result = split_together(records).map_err(|_| "its results are not records")?;
        left = left.checked_sub(result.count).ok_or("it sends results of more elements than it says")?;
        records = &records[result.len..];
    }
    if records.is_empty() { Ok(()) } else { Err("it sends more results than it says") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use rustwren_core::entry::{Call as Convention, Entry, Target};
    use rustwren_core::image::ImageId;
    use rustwren_core::invoker::{Events, JobSpec, Usage};
    use rustwren_core::protocol::records::{ResultTag, append_list, append_result};

    use super::*;
    use crate::options::PoolOptions;
    use crate::state::{Call, EventSink, Pieces, Status};

    struct Deaf;

    impl Events for Deaf {
        fn results(&self, _: u64, _: ResultBatch) {}
        fn started(&self, _: u64) {}
        fn log(&self, _: u64, _: LogLine) {}
    }

    /// A call of four elements at the only process, and the name of its piece.
    fn state() -> (State, u64) {
        let image = ImageId([0; 32]);
        let target = Target::Named { name: "f".to_owned(), call: Convention::Map };
        let job = JobSpec {
            id: "job".to_owned(),
            label: "job".to_owned(),
            entry: Entry { image, target },
            shared: None,
            task_timeout: None,
            concurrency: 1,
        };
        let options = PoolOptions { workers: 1, ..PoolOptions::new(image) };
        let mut state = State::new(Arc::new(options));
        let call = state.calls.insert(Call {
            invocation: 1,
            job: Arc::new(job),
            key: 0,
            first: 0,
            attempt: 1,
            concurrency: 1,
            whole: true,
            life: None,
            events: EventSink(Arc::new(Deaf)),
            pieces: Pieces::default(),
            queued_at: Instant::now(),
            told_started: false,
            results: Vec::new(),
            failed: Vec::new(),
            suspects: Vec::new(),
            incomplete: false,
            usage: Usage::default(),
            outcome: None,
            waker: None,
        });
        state.workers[0].status = Status::Ready;
        let piece = state.add_piece(call, 0, 4, Vec::new());
        state.queue.push_back(piece);
        state.dispatch(Instant::now());
        let id = state.pieces[piece].id;
        (state, id)
    }

    fn results(call: u64, offset: u32, count: u32) -> Up {
        let mut records = Vec::new();
        for _ in 0..count {
            append_result(&mut records, ResultTag::Output, |_| Ok::<(), ()>(())).unwrap();
        }
        Up::Results { call, offset, count, records: Bytes::from(records) }
    }

    fn stopped(state: &State) -> Option<bool> {
        let outcome = state.calls[0].outcome.as_ref()?;
        Some(outcome.as_ref().unwrap().stopped.is_some())
    }

    #[test]
    fn a_second_result_of_an_element_does_not_make_up_for_one_that_is_missing() {
        for again in [(0, 1), (1, 1), (0, 3), (1, 3)] {
            let (mut state, call) = state();
            let now = Instant::now();
            state.receive(0, results(call, 0, 2), now).unwrap();
            let error = state.receive(0, results(call, again.0, again.1), now).unwrap_err();
            assert_eq!(error, "it sends a second result of an element");
            assert_eq!(state.calls[0].results.len(), 1, "it is not passed on");
            state.receive(0, results(call, 3, 1), now).unwrap();
            state.receive(0, Up::Done { call, compute: 1 }, now).unwrap();
            assert_eq!(stopped(&state), Some(true), "element 2 has none");
        }
    }

    #[test]
    fn a_list_is_the_result_of_as_many_elements_as_it_says() {
        for (says, count) in [(3, 4), (3, 2), (4, 4)] {
            let (mut state, call) = state();
            let mut records = Vec::new();
            append_list(&mut records, count, ResultTag::Output, |_| Ok::<(), ()>(())).unwrap();
            let results = Up::Results { call, offset: 0, count: says, records: Bytes::from(records) };
            let received = state.receive(0, results, Instant::now());
            assert_eq!(received.is_ok(), says == count, "{received:?}");
            assert_eq!(state.calls[0].results.len(), usize::from(says == count));
        }
    }

    #[test]
    fn what_has_a_result_cannot_be_given_back() {
        let (mut state, call) = state();
        let now = Instant::now();
        state.receive(0, results(call, 2, 1), now).unwrap();
        let error = state.receive(0, Up::Returned { call, from: 2 }, now).unwrap_err();
        assert_eq!(error, "it gives back elements that it has sent results of");
        for offset in [3, 0] {
            state.receive(0, results(call, offset, 1), now).unwrap();
        }
        assert_eq!(stopped(&state), None);
        state.receive(0, results(call, 1, 1), now).unwrap();
        state.receive(0, Up::Done { call, compute: 1 }, now).unwrap();
        assert_eq!(stopped(&state), Some(false), "all four, in any order");
    }
}

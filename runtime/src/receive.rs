//! What a function process says.

use std::time::Instant;

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{LogLine, ResultBatch};
use rustwren_core::protocol::message::Up;
use rustwren_core::protocol::records::split_result;

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
                piece.note_results(offset, count);
                let batch = ResultBatch { offset: piece.offset + offset, count, records };
                if let Some(call) = piece.call.and_then(|call| self.calls.get_mut(call)) {
                    if let Some(life) = &mut call.life {
                        life.done = life.done.saturating_add(count);
                    }
                    call.results.push(batch);
                }
            }
            Up::Done { compute, .. } => {
                let done: u64 = piece.seen.iter().map(|(start, end)| u64::from(end - start)).sum();
                let (call, whole) = (piece.call, done == u64::from(piece.count));
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
    for _ in 0..count {
        let (_, _, len) = split_result(records).map_err(|_| "its results are not records")?;
        records = &records[len..];
    }
    if records.is_empty() { Ok(()) } else { Err("it sends more results than it says") }
}

//! The client's side of an answer: what is read from it goes to the invocation's [`Events`], and its end is the reply.
//!
//! One piece of code for every invoker whose workers answer in bytes, over a stream or in one body.

use std::sync::Arc;

use super::answer::{Answer, AnswerReader, NoAnswer};
use crate::error::{BackendError, ErrorClass};
use crate::invoker::{Events, Reply};

/// Listens to the answer to one invocation.
pub struct Listener {
    invocation: u64,
    events: Arc<dyn Events>,
    answer: AnswerReader,
    /// Whether anything has shown that a worker has the invocation.
    heard: bool,
    outcome: Option<Result<Reply, BackendError>>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("invocation", &self.invocation)
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens for the invocation of this id.
    pub fn new(invocation: u64, events: &Arc<dyn Events>) -> Self {
        let (events, answer) = (Arc::clone(events), AnswerReader::new());
        Self { invocation, events, answer, heard: false, outcome: None }
    }

    /// Takes in bytes of the answer and passes on what they say. An error says that they are none; reading on makes no
    /// sense then, and the error is the invocation's.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<(), BackendError> {
        self.answer.extend(bytes);
        while let Some(answer) = self.answer.read().map_err(|wrong| not_an_answer(&wrong))? {
            let id = self.invocation;
            self.heard = true;
            match answer {
                Answer::Started => self.events.started(id),
                Answer::Alive => self.events.alive(id),
                Answer::Results(batch) => self.events.results(id, batch),
                Answer::Log(line) => self.events.log(id, line),
                Answer::End { stopped, usage } => {
                    self.outcome = Some(Ok(Reply { results: Vec::new(), stopped, usage }));
                }
                Answer::Refused(error) => self.outcome = Some(Err(error)),
            }
        }
        Ok(())
    }

    /// Whether the answer is complete.
    pub fn is_over(&self) -> bool {
        self.answer.is_over()
    }

    /// What came of the invocation, after the last byte of the answer. One that is not complete was cut off.
    pub fn end(self) -> Result<Reply, BackendError> {
        self.cut_off(NoAnswer::CutShort)
    }

    /// What came of the invocation whose answer broke off because of this.
    ///
    /// When nothing had shown that a worker has it, the trouble is [`ErrorClass::Transient`]: most likely it was never
    /// begun. Otherwise the worker is gone ([`ErrorClass::WorkerCrashed`]) and with it what it held.
    pub fn cut_off(
        self,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Reply, BackendError> {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        Err(if self.heard {
            BackendError::new(ErrorClass::WorkerCrashed, "the worker's answer broke off").with_source(why)
        } else {
            BackendError::new(ErrorClass::Transient, "no answer came from a worker").with_source(why)
        })
    }
}

fn not_an_answer(wrong: &NoAnswer) -> BackendError {
    let class = match wrong {
        NoAnswer::Foreign | NoAnswer::Version(_) => ErrorClass::Misconfigured,
        NoAnswer::Malformed(_) | NoAnswer::CutShort => ErrorClass::Internal,
    };
    let error = BackendError::new(class, format!("the answer to an invocation cannot be read: {wrong}"));
    match wrong {
        NoAnswer::Foreign => error.with_hint("is something other than RustWren's runtime at this address?"),
        NoAnswer::Version(_) => error
            .with_hint("use the same RustWren on both sides: update the client or deploy the runtime anew"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::super::answer::PREAMBLE;
    use super::*;
    use crate::invoker::{LogLine, ResultBatch, Usage};

    #[derive(Default)]
    struct Record(Mutex<Vec<String>>);

    impl Record {
        fn note(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
    }

    impl Events for Record {
        fn results(&self, id: u64, batch: ResultBatch) {
            self.note(format!("{id} results {}+{}", batch.offset, batch.count));
        }
        fn started(&self, id: u64) {
            self.note(format!("{id} started"));
        }
        fn alive(&self, id: u64) {
            self.note(format!("{id} alive"));
        }
        fn log(&self, id: u64, line: LogLine) {
            self.note(format!("{id} log {:?}", line.bytes));
        }
    }

    fn answer() -> Vec<u8> {
        let mut bytes = PREAMBLE.to_vec();
        Answer::append_started(&mut bytes);
        Answer::append_alive(&mut bytes);
        Answer::append_results(
            &mut bytes,
            &ResultBatch { offset: 1, count: 2, records: Bytes::from_static(b"\0\0") },
        );
        let line = LogLine { offset: 0, count: 1, stderr: false, bytes: Bytes::from_static(b"hi") };
        Answer::append_log(&mut bytes, &line);
        Answer::append_end(&mut bytes, None, &Usage::default()).unwrap();
        bytes
    }

    fn listen(pieces: &[&[u8]]) -> (Vec<String>, Result<Reply, BackendError>) {
        let record = Arc::new(Record::default());
        let events: Arc<dyn Events> = Arc::clone(&record) as _;
        let mut listener = Listener::new(7, &events);
        for piece in pieces {
            if let Err(error) = listener.hear(piece) {
                return (std::mem::take(&mut record.0.lock().unwrap()), Err(error));
            }
        }
        let end = listener.end();
        (std::mem::take(&mut record.0.lock().unwrap()), end)
    }

    #[test]
    fn events_and_reply_come_out_however_the_bytes_are_cut() {
        let bytes = answer();
        let pieces: Vec<&[u8]> = bytes.chunks(3).collect();
        for pieces in [vec![&bytes[..]], pieces] {
            let (events, end) = listen(&pieces);
            assert_eq!(events, ["7 started", "7 alive", "7 results 1+2", "7 log b\"hi\""]);
            assert_eq!(end.unwrap(), Reply::default());
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_told_by_what_was_heard() {
        let bytes = answer();
        for cut in 0..bytes.len() {
            let (events, end) = listen(&[&bytes[..cut]]);
            let expected = if events.is_empty() { ErrorClass::Transient } else { ErrorClass::WorkerCrashed };
            assert_eq!(end.unwrap_err().class(), expected, "at {cut}");
        }
    }

    #[test]
    fn other_things_are_misconfigured_with_a_hint() {
        for bytes in [&b"<html>"[..], b"RWA\xff"] {
            let (_, end) = listen(&[bytes]);
            let error = end.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Misconfigured);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_refusal_is_the_error_it_was() {
        let mut bytes = PREAMBLE.to_vec();
        let refusal = BackendError::new(ErrorClass::Denied, "no").with_hint("ask");
        Answer::append_refused(&mut bytes, &refusal);
        let error = listen(&[&bytes]).1.unwrap_err();
        assert_eq!(
            (error.class(), error.to_string(), error.hint()),
            (ErrorClass::Denied, "no".into(), Some("ask"))
        );
    }
}

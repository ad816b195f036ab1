//! What a worker answers to an invocation that came to it as bytes: a stream of frames that is read while it grows, or
//! the same bytes as one body.
//!
//! An answer begins with [`PREAMBLE`], the magic `RWA` and a version byte: an error page that a balancer puts in its
//! place is no answer. Frames follow in the envelope of [`super::frame`]. The last one is [`Answer::End`] or
//! [`Answer::Refused`], so that an answer that was cut short is told from a whole one.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::fields::Fields;
use super::frame::{Frame, FrameBuffer, MAX_BODY, append_frame};
use super::message::MAX_LOG;
use super::records::Malformed;
use crate::codec::{self, CodecError};
use crate::error::{BackendError, ErrorClass};
use crate::invoker::{LogLine, ResultBatch, Stopped, Usage};

/// The version of the answers that this module writes and reads. Whoever changes a frame raises it.
pub const VERSION: u8 = 1;
/// What an answer begins with: three letters and [`VERSION`].
pub const PREAMBLE: [u8; 4] = [b'R', b'W', b'A', VERSION];

const STARTED: u8 = 1;
const ALIVE: u8 = 2;
const RESULTS: u8 = 3;
const LOG: u8 = 4;
const END: u8 = 5;
const REFUSED: u8 = 6;

/// The longest message, and the longest hint, of an [`Answer::Refused`].
const MAX_TEXT: usize = 16 << 10;
const REFUSED_HEAD: usize = 14;
const HAS_RETRY_AFTER: u8 = 1;
const HAS_HINT: u8 = 2;

/// One frame of an answer.
#[derive(Debug)]
pub enum Answer {
    /// The invocation's first element has begun to run.
    Started,
    /// The invocation is in good hands, though there is nothing else to report.
    Alive,
    /// Results of consecutive elements.
    Results(ResultBatch),
    /// Something was written to stdout or stderr.
    Log(LogLine),
    /// The invocation is over, and every result was in a frame before this one.
    End {
        /// Set when the worker stopped before the end.
        stopped: Option<Stopped>,
        /// What it cost.
        usage: Usage,
    },
    /// The invocation is over, and nothing is known of it beyond what came before this frame.
    Refused(BackendError),
}

impl Answer {
    /// The longest body of each kind, or `None` for kinds that do not exist.
    fn limit(kind: u8) -> Option<usize> {
        match kind {
            STARTED | ALIVE => Some(0),
            RESULTS | END => Some(MAX_BODY),
            LOG => Some(MAX_LOG + 9),
            REFUSED => Some(REFUSED_HEAD + 2 * MAX_TEXT),
            _ => None,
        }
    }

    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut fields = Fields(frame.body);
        match frame.kind {
            STARTED => fields.end().map(|()| Self::Started),
            ALIVE => fields.end().map(|()| Self::Alive),
            RESULTS => {
                let (offset, count) = (fields.u32()?, fields.u32()?);
                if count == 0 {
                    return Err(Malformed("results of no element"));
                }
                Ok(Self::Results(ResultBatch { offset, count, records: fields.0 }))
            }
            LOG => {
                let (offset, count) = (fields.u32()?, fields.u32()?);
                let stderr = fields.u8()? != 0;
                Ok(Self::Log(LogLine { offset, count, stderr, bytes: fields.0 }))
            }
            END => {
                let (stopped, usage) =
                    codec::decode(&fields.0).map_err(|_| Malformed("an end does not decode"))?;
                Ok(Self::End { stopped, usage })
            }
            REFUSED => decode_refusal(fields).map(Self::Refused),
            _ => Err(Malformed("frame of unknown kind")),
        }
    }

    /// Appends an [`Answer::Started`].
    pub fn append_started(out: &mut Vec<u8>) {
        append_frame(out, STARTED, |_| {});
    }

    /// Appends an [`Answer::Alive`].
    pub fn append_alive(out: &mut Vec<u8>) {
        append_frame(out, ALIVE, |_| {});
    }

    /// Appends an [`Answer::Results`].
    pub fn append_results(out: &mut Vec<u8>, batch: &ResultBatch) {
        append_frame(out, RESULTS, |out| {
            out.extend_from_slice(&batch.offset.to_le_bytes());
            out.extend_from_slice(&batch.count.to_le_bytes());
            out.extend_from_slice(&batch.records);
        });
    }

    /// Appends an [`Answer::Log`], or several where the line is longer than [`MAX_LOG`].
    pub fn append_log(out: &mut Vec<u8>, line: &LogLine) {
        for piece in line.bytes.chunks(MAX_LOG) {
            append_frame(out, LOG, |out| {
                out.extend_from_slice(&line.offset.to_le_bytes());
                out.extend_from_slice(&line.count.to_le_bytes());
                out.push(u8::from(line.stderr));
                out.extend_from_slice(piece);
            });
        }
    }

    /// Appends an [`Answer::End`].
    pub fn append_end(out: &mut Vec<u8>, stopped: Option<&Stopped>, usage: &Usage) -> Result<(), CodecError> {
        let body = codec::to_vec(&(stopped, usage))?;
        append_frame(out, END, |out| out.extend_from_slice(&body));
        Ok(())
    }

    /// Appends an [`Answer::Refused`]: the error's class, its message with what it says of its source, and its hint,
    /// both texts cut to 16 KiB.
    pub fn append_refused(out: &mut Vec<u8>, error: &BackendError) {
        let message = error.to_string();
        let cut = |text: &str| text.floor_char_boundary(MAX_TEXT);
        let message = &message.as_bytes()[..cut(&message)];
        let hint = error.hint().map(|hint| &hint.as_bytes()[..cut(hint)]);
        let (class, retry_after) = class_code(error.class());
        let flags = u8::from(retry_after.is_some()) * HAS_RETRY_AFTER + u8::from(hint.is_some()) * HAS_HINT;
        let millis = retry_after.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        append_frame(out, REFUSED, |out| {
            out.extend_from_slice(&[class, flags]);
            out.extend_from_slice(&millis.to_le_bytes());
            out.extend_from_slice(&(message.len() as u32).to_le_bytes());
            out.extend_from_slice(message);
            out.extend_from_slice(hint.unwrap_or_default());
        });
    }
}

fn decode_refusal(mut fields: Fields) -> Result<BackendError, Malformed> {
    let (class, flags) = (fields.u8()?, fields.u8()?);
    let millis = fields.u64()?;
    let len = fields.u32()? as usize;
    if len > fields.0.len() {
        return Err(Malformed("a refusal ends early"));
    }
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let message = text(&fields.0.split_to(len));
    let retry_after = (flags & HAS_RETRY_AFTER != 0).then(|| Duration::from_millis(millis));
    let error = BackendError::new(class_of(class, retry_after), message);
    Ok(if flags & HAS_HINT == 0 { error } else { error.with_hint(text(&fields.0)) })
}

/// What stands for a class, and how long it asks to wait.
fn class_code(class: ErrorClass) -> (u8, Option<Duration>) {
    match class {
        ErrorClass::Throttled { retry_after } => (1, retry_after),
        ErrorClass::Transient => (2, None),
        ErrorClass::NotFound => (3, None),
        ErrorClass::WorkerCrashed => (4, None),
        ErrorClass::TimedOut => (5, None),
        ErrorClass::Denied => (6, None),
        ErrorClass::Misconfigured => (7, None),
        ErrorClass::Invalid => (8, None),
        ErrorClass::Cancelled => (9, None),
        ErrorClass::Internal => (10, None),
    }
}

fn class_of(code: u8, retry_after: Option<Duration>) -> ErrorClass {
    match code {
        1 => ErrorClass::Throttled { retry_after },
        2 => ErrorClass::Transient,
        3 => ErrorClass::NotFound,
        4 => ErrorClass::WorkerCrashed,
        5 => ErrorClass::TimedOut,
        6 => ErrorClass::Denied,
        7 => ErrorClass::Misconfigured,
        8 => ErrorClass::Invalid,
        9 => ErrorClass::Cancelled,
        // Also what a later version may add.
        _ => ErrorClass::Internal,
    }
}

/// Why bytes are not the answer that they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// They are something else altogether.
    Foreign,
    /// They are an answer in another version.
    Version(u8),
    /// They break the form of answers.
    Malformed(Malformed),
    /// They end before the answer does.
    CutShort,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it is not one of a RustWren runtime"),
            Self::Version(version) => {
                write!(f, "it is of version {version}, and this program reads version {VERSION}")
            }
            Self::Malformed(error) => error.fmt(f),
            Self::CutShort => f.write_str("it was cut short"),
        }
    }
}

impl std::error::Error for NoAnswer {}

/// Reads an answer from its bytes, in whatever pieces they come. Takes memory only for bytes that have arrived.
#[derive(Debug, Default)]
pub struct AnswerReader {
    frames: FrameBuffer,
    begun: bool,
    over: bool,
}

impl AnswerReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in bytes that have arrived.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.frames.extend(bytes);
    }

    /// The next frame, once all of it has arrived. After an error, reading on makes no sense.
    pub fn read(&mut self) -> Result<Option<Answer>, NoAnswer> {
        if !self.begun {
            let Some(preamble) = self.frames.take_first() else { return Ok(None) };
            match preamble {
                PREAMBLE => self.begun = true,
                [b'R', b'W', b'A', version] => return Err(NoAnswer::Version(version)),
                _ => return Err(NoAnswer::Foreign),
            }
        }
        if self.over {
            let rest = Malformed("bytes follow the end of an answer");
            return if self.frames.is_empty() { Ok(None) } else { Err(NoAnswer::Malformed(rest)) };
        }
        let Some(frame) = self.frames.next(Answer::limit).map_err(NoAnswer::Malformed)? else {
            return Ok(None);
        };
        let answer = Answer::decode(frame).map_err(NoAnswer::Malformed)?;
        self.over = matches!(answer, Answer::End { .. } | Answer::Refused(_));
        Ok(Some(answer))
    }

    /// Whether the last frame was read.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;

//! What the frames between a supervisor and its function process say. `docs/protocol.md` describes the layout.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::fields::Fields;
use super::frame::{Frame, HEADER, MAX_BODY, MAX_SMALL_BODY, append_frame, append_frame_before};
use super::records::Malformed;
use crate::codec;
use crate::image::ImageId;
use crate::invoker::JobSpec;

/// The version of this protocol; both ends must agree.
pub const PROTOCOL: u32 = 3;
/// The longest piece of output that one [`Up::Log`] carries.
pub const MAX_LOG: usize = 64 << 10;
/// The longest message of [`Up::Refused`].
const MAX_REFUSAL: usize = 16 << 10;

const JOB: u8 = 1;
const RUN: u8 = 2;
const HAND_BACK: u8 = 3;
const FORGET: u8 = 4;
const SHUTDOWN: u8 = 5;
const HELLO: u8 = 0x81;
const REFUSED: u8 = 0x82;
const RESULTS: u8 = 0x83;
const LOG: u8 = 0x84;
const DONE: u8 = 0x85;
const RETURNED: u8 = 0x86;

/// From the supervisor to the function process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// What calls of a job have in common; sent before the first of them.
    Job {
        /// What calls name it by.
        key: u32,
        /// The job, without its shared value.
        spec: Box<JobSpec>,
        /// The encoded value of `map_with`, or nothing.
        shared: Bytes,
    },
    /// Elements to run, after those sent before.
    Run(Run),
    /// Give back what has not been begun of a call.
    HandBack {
        /// The call.
        call: u64,
    },
    /// No call of this job will come any more.
    Forget {
        /// The job's key.
        key: u32,
    },
    /// End now. Only sent while nothing runs.
    Shutdown,
}

/// Consecutive elements of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Names the call in answers; unique in the process's life.
    pub call: u64,
    /// The job's key.
    pub job: u32,
    /// Index of the first element in the job's inputs.
    pub first: u64,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How many elements, at least 1.
    pub count: u32,
    /// How many to work on at once, at least 1.
    pub concurrency: u32,
    /// `count` input records.
    pub inputs: Bytes,
}

/// The first message of a function process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its [`PROTOCOL`].
    pub protocol: u32,
    /// The image it was told it is.
    pub image: ImageId,
    /// Its process id.
    pub pid: u32,
}

/// From the function process to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// The process is ready.
    Hello(Hello),
    /// The function of a call's job cannot be run in this process. Ends the call.
    Refused {
        /// The call.
        call: u64,
        /// Why not.
        message: String,
    },
    /// Results of consecutive elements.
    Results {
        /// The call.
        call: u64,
        /// First element, from the call's first.
        offset: u32,
        /// How many.
        count: u32,
        /// `count` result records.
        records: Bytes,
    },
    /// Something was written to stdout or stderr.
    Log {
        /// The call.
        call: u64,
        /// The first element that may have written it, from the call's first.
        offset: u32,
        /// How many elements may have written it.
        count: u32,
        /// Whether to stderr.
        stderr: bool,
        /// What.
        bytes: Bytes,
    },
    /// The call is over: every element has its result, but those returned.
    Done {
        /// The call.
        call: u64,
        /// Nanoseconds it ran.
        compute: u64,
    },
    /// Elements from this one on will not be run.
    Returned {
        /// The call.
        call: u64,
        /// First element given back, from the call's first.
        from: u32,
    },
}

fn positive(count: u32) -> Result<u32, Malformed> {
    if count == 0 { Err(Malformed("a count is zero")) } else { Ok(count) }
}

impl Down {
    /// The longest body of each kind.
    pub fn limit(kind: u8) -> Option<usize> {
        match kind {
            JOB | RUN => Some(MAX_BODY),
            HAND_BACK | FORGET | SHUTDOWN => Some(MAX_SMALL_BODY),
            _ => None,
        }
    }

    /// Reads a frame.
    pub fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut fields = Fields(frame.body);
        match frame.kind {
            JOB => {
                let key = fields.u32()?;
                let len = fields.u32()? as usize;
                if len > fields.0.len() {
                    return Err(Malformed("job ends early"));
                }
                let spec = fields.0.split_to(len);
                let spec = codec::decode(&spec).map_err(|_| Malformed("job does not decode"))?;
                Ok(Self::Job { key, spec: Box::new(spec), shared: fields.0 })
            }
            RUN => Ok(Self::Run(Run {
                call: fields.u64()?,
                job: fields.u32()?,
                first: fields.u64()?,
                attempt: fields.u32()?,
                count: positive(fields.u32()?)?,
                concurrency: positive(fields.u32()?)?,
                inputs: fields.0,
            })),
            HAND_BACK => {
                let call = fields.u64()?;
                fields.end().map(|()| Self::HandBack { call })
            }
            FORGET => {
                let key = fields.u32()?;
                fields.end().map(|()| Self::Forget { key })
            }
            SHUTDOWN => fields.end().map(|()| Self::Shutdown),
            _ => Err(Malformed("frame of unknown kind")),
        }
    }

    /// Appends a [`Down::Job`] but for its shared value, whose `shared` bytes the caller sends after it.
    pub fn append_job(
        out: &mut Vec<u8>,
        key: u32,
        spec: &JobSpec,
        shared: usize,
    ) -> Result<(), codec::CodecError> {
        let spec = JobSpec { shared: None, ..spec.clone() };
        let spec = codec::to_vec(&spec)?;
        append_frame_before(out, JOB, shared, |out| {
            out.extend_from_slice(&key.to_le_bytes());
            out.extend_from_slice(&(spec.len() as u32).to_le_bytes());
            out.extend_from_slice(&spec);
        });
        Ok(())
    }

    /// Appends a [`Down::Run`] but for its inputs, whose `inputs` bytes the caller sends after it.
    /// [`Run::inputs`] is not looked at.
    #[inline]
    pub fn append_run(out: &mut Vec<u8>, run: &Run, inputs: usize) {
        append_frame_before(out, RUN, inputs, |out| {
            let mut head = [0_u8; 32];
            head[..8].copy_from_slice(&run.call.to_le_bytes());
            head[8..12].copy_from_slice(&run.job.to_le_bytes());
            head[12..20].copy_from_slice(&run.first.to_le_bytes());
            head[20..24].copy_from_slice(&run.attempt.to_le_bytes());
            head[24..28].copy_from_slice(&run.count.to_le_bytes());
            head[28..].copy_from_slice(&run.concurrency.to_le_bytes());
            out.extend_from_slice(&head);
        });
    }

    /// Appends a [`Down::HandBack`].
    pub fn append_hand_back(out: &mut Vec<u8>, call: u64) {
        append_frame(out, HAND_BACK, |out| out.extend_from_slice(&call.to_le_bytes()));
    }

    /// Appends a [`Down::Forget`].
    pub fn append_forget(out: &mut Vec<u8>, key: u32) {
        append_frame(out, FORGET, |out| out.extend_from_slice(&key.to_le_bytes()));
    }

    /// Appends a [`Down::Shutdown`].
    pub fn append_shutdown(out: &mut Vec<u8>) {
        append_frame(out, SHUTDOWN, |_| {});
    }
}

/// The longest run of result records that fits a frame.
pub const MAX_RECORDS: usize = MAX_BODY - RESULTS_HEAD;
const RESULTS_HEAD: usize = 16;

/// A [`Up::Results`] that is being written and can still grow.
#[derive(Debug, Clone, Copy)]
pub struct OpenResults {
    start: usize,
    call: u64,
    offset: u32,
    count: u32,
}

impl OpenResults {
    /// Begins one at the end of `out`.
    #[inline]
    pub fn begin(out: &mut Vec<u8>, call: u64, offset: u32) -> Self {
        let start = out.len();
        let mut head = [0_u8; HEADER + RESULTS_HEAD];
        head[4] = RESULTS;
        head[5..13].copy_from_slice(&call.to_le_bytes());
        head[13..17].copy_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&head);
        Self { start, call, offset, count: 0 }
    }

    /// Whether this element's result comes next in it.
    #[inline]
    pub fn takes(&self, call: u64, offset: u32) -> bool {
        self.call == call && self.offset + self.count == offset
    }

    /// Appends the result record of one element, or of a list of so many.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, record: &[u8], count: u32) {
        out.extend_from_slice(record);
        self.count += count;
    }

    /// Writes what is known only now: the lengths. `rest` bytes of its last record follow outside of `out`.
    #[inline]
    pub fn finish(self, out: &mut [u8], rest: usize) {
        let len = (out.len() - self.start - HEADER + rest) as u32;
        out[self.start..self.start + 4].copy_from_slice(&len.to_le_bytes());
        out[self.start + 17..self.start + 21].copy_from_slice(&self.count.to_le_bytes());
    }
}

impl Up {
    /// The longest body of each kind.
    pub fn limit(kind: u8) -> Option<usize> {
        match kind {
            RESULTS => Some(MAX_BODY),
            HELLO | REFUSED | LOG | DONE | RETURNED => Some(MAX_SMALL_BODY),
            _ => None,
        }
    }

    /// Reads a frame.
    pub fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut fields = Fields(frame.body);
        match frame.kind {
            HELLO => {
                codec::decode(&fields.0).map(Self::Hello).map_err(|_| Malformed("greeting does not decode"))
            }
            REFUSED => {
                let call = fields.u64()?;
                let message = String::from_utf8_lossy(&fields.0).into_owned();
                Ok(Self::Refused { call, message })
            }
            RESULTS => Ok(Self::Results {
                call: fields.u64()?,
                offset: fields.u32()?,
                count: positive(fields.u32()?)?,
                records: fields.0,
            }),
            LOG => Ok(Self::Log {
                call: fields.u64()?,
                offset: fields.u32()?,
                count: positive(fields.u32()?)?,
                stderr: fields.u8()? != 0,
                bytes: fields.0,
            }),
            DONE => {
                let (call, compute) = (fields.u64()?, fields.u64()?);
                fields.end().map(|()| Self::Done { call, compute })
            }
            RETURNED => {
                let (call, from) = (fields.u64()?, fields.u32()?);
                fields.end().map(|()| Self::Returned { call, from })
            }
            _ => Err(Malformed("frame of unknown kind")),
        }
    }

    /// Appends a [`Up::Hello`].
    pub fn append_hello(out: &mut Vec<u8>, hello: &Hello) -> Result<(), codec::CodecError> {
        let body = codec::to_vec(hello)?;
        append_frame(out, HELLO, |out| out.extend_from_slice(&body));
        Ok(())
    }

    /// Appends a [`Up::Refused`], its message cut to a reasonable length.
    pub fn append_refused(out: &mut Vec<u8>, call: u64, message: &str) {
        let message = &message.as_bytes()[..message.floor_char_boundary(MAX_REFUSAL)];
        append_frame(out, REFUSED, |out| {
            out.extend_from_slice(&call.to_le_bytes());
            out.extend_from_slice(message);
        });
    }

    /// Appends a [`Up::Log`]; at most [`MAX_LOG`] bytes.
    pub fn append_log(out: &mut Vec<u8>, call: u64, offset: u32, count: u32, stderr: bool, bytes: &[u8]) {
        append_frame(out, LOG, |out| {
            out.extend_from_slice(&call.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
            out.push(u8::from(stderr));
            out.extend_from_slice(bytes);
        });
    }

    /// Appends a [`Up::Done`].
    #[inline]
    pub fn append_done(out: &mut Vec<u8>, call: u64, compute: u64) {
        append_frame(out, DONE, |out| {
            out.extend_from_slice(&call.to_le_bytes());
            out.extend_from_slice(&compute.to_le_bytes());
        });
    }

    /// Appends a [`Up::Returned`].
    pub fn append_returned(out: &mut Vec<u8>, call: u64, from: u32) {
        append_frame(out, RETURNED, |out| {
            out.extend_from_slice(&call.to_le_bytes());
            out.extend_from_slice(&from.to_le_bytes());
        });
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;

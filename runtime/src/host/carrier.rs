//! What an answer has no room for: results go to storage, and of the output of tasks the rest is dropped.
//!
//! Results that are stored lie behind each other in objects of about [`PART`] bytes, and in their place the client is
//! told where: so objects grow with invocations and bytes, not with elements. The client is told of a result when its
//! object is there. So it is with long items that another job is to take from here, whether there is room or not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use rustwren_core::codec;
use rustwren_core::durable::{JobId, Store};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, LogLine, Payload, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, Together, append_list, split_together};
use rustwren_core::storage::Key;
use rustwren_core::task::step::Course;
use tokio::sync::{Notify, oneshot};

use super::Room;

/// An object is begun for results when the one before has so many bytes.
const PART: usize = 16 << 20;
/// An output that is no longer than what would stand for it is not worth storing.
const SHORT: usize = 128;
/// What surrounds results or output in an answer: many small ones are no less to carry than a large one.
const FRAME: usize = 14;
/// What the client reads where output was dropped.
const CUT: &[u8] = b"[rustwren: further output of these tasks is not passed on]\n";

/// Stands between a pool and the events of one invocation.
pub(super) struct Carrier {
    id: u64,
    job: JobId,
    /// Names this run of the invocation: a job may run it a second time.
    run: u64,
    /// Items of outputs that are longer are stored, though there is room for them: another job reads them here.
    store_above: Option<u64>,
    events: Arc<dyn Events>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    inline: usize,
    most: usize,
    log: usize,
    log_cut: bool,
    /// Being filled.
    part: Part,
    /// Full, to be stored.
    full: VecDeque<Part>,
    parts: u64,
    /// No more results will come.
    closed: bool,
    /// Some results did not fit the answer.
    dropped: bool,
}

/// What will be one object.
#[derive(Default)]
struct Part {
    number: u64,
    outputs: Vec<Bytes>,
    len: usize,
    /// What the client is told when it is there.
    batches: Vec<ResultBatch>,
}

impl Carrier {
    pub(super) fn new(
        id: u64,
        job: JobId,
        room: Room,
        store_above: Option<u64>,
        events: &Arc<dyn Events>,
    ) -> Arc<Self> {
        let state = State { inline: room.inline, most: room.most, log: room.log, ..State::default() };
        Arc::new(Self {
            id,
            job,
            run: fastrand::u64(..),
            store_above,
            events: Arc::clone(events),
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees an invocation, whose events come here, to its end. The reply has no results left.
    pub(super) async fn carry(
        &self,
        store: &Store,
        run: impl Future<Output = Result<Reply, BackendError>>,
    ) -> Result<Reply, BackendError> {
        let mut storing = std::pin::pin!(self.keep_storing(store));
        let reply = tokio::select! {
            biased;
            reply = run => reply,
            Err(error) = &mut storing => return Err(error),
        };
        let mut reply = reply?;
        for batch in reply.results.drain(..) {
            self.results(self.id, batch);
        }
        let begun = Instant::now();
        self.close();
        storing.await?;
        reply.usage.store += begun.elapsed();
        if self.lock().dropped {
            reply.stopped.get_or_insert_default();
        }
        Ok(reply)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.finish_part();
        drop(state);
        self.changed.notify_one();
    }

    /// Stores parts that are full, until no more will come.
    async fn keep_storing(&self, store: &Store) -> Result<(), BackendError> {
        loop {
            let (part, closed) = {
                let mut state = self.lock();
                (state.full.pop_front(), state.closed)
            };
            match part {
                Some(part) => self.store(store, part).await?,
                None if closed => return Ok(()),
                None => self.changed.notified().await,
            }
        }
    }

    async fn store(&self, store: &Store, part: Part) -> Result<(), BackendError> {
        if part.len > 0 {
            let key = self.job.output_key(self.run, part.number)?;
            let bytes = Bytes::from(part.outputs.concat());
            // A task of its own: that the invocation is cancelled does not undo what the storage has been asked for.
            let (tell, told) = oneshot::channel();
            let (store, job, passes) = (store.clone(), self.job.clone(), self.store_above.is_some());
            tokio::spawn(async move {
                let put = store.put(&key, bytes).await;
                if tell.send(put).is_err() {
                    tracing::debug!(%key, "an invocation was cancelled while its results were stored");
                }
                if passes && let Err(error) = remove_if_over(&store, &job, &key).await {
                    tracing::debug!(%key, %error, "whether its job is over cannot be seen");
                }
            });
            let put = told.await.unwrap_or_else(|_| {
                Err(BackendError::new(ErrorClass::Internal, "the process is about to end"))
            });
            put.map_err(|error| {
                let failed = BackendError::new(error.class(), "results could not be stored");
                failed.with_optional_hint(error.hint()).with_source(error)
            })?;
        }
        for batch in part.batches {
            self.events.results(self.id, batch);
        }
        Ok(())
    }

    /// Results whose long items are put aside; none if there are no such.
    fn lift(&self, part: &mut Part, batch: &ResultBatch) -> Result<Option<ResultBatch>, BackendError> {
        let Some(above) = self.store_above else { return Ok(None) };
        let key = self.job.output_key(self.run, part.number)?;
        let (mut records, mut any) = (Vec::new(), false);
        let mut rest = &batch.records[..];
        while !rest.is_empty() {
            let Together { count, tag, body, len, .. } = split_together(rest).map_err(|e| internal(&e))?;
            let lifted = match tag {
                ResultTag::Output => {
                    Course::lift(body, above, key.as_str(), |item| part.put(batch.records.slice_ref(item)))
                }
                ResultTag::Failure | ResultTag::Stored => None,
            };
            if let Some(lifted) = lifted {
                any = true;
                append_list(&mut records, count, ResultTag::Output, |out| {
                    out.extend_from_slice(&lifted);
                    Ok::<(), BackendError>(())
                })?;
            } else {
                records.extend_from_slice(&rest[..len]);
            }
            rest = &rest[len..];
        }
        Ok(any.then(|| ResultBatch { records: records.into(), ..batch.clone() }))
    }

    /// Passes results on, now or when what they stand for is stored.
    fn take(&self, state: &mut State, batch: ResultBatch) -> Result<Option<ResultBatch>, BackendError> {
        let lifted = self.lift(&mut state.part, &batch)?;
        let now = lifted.is_none();
        let batch = lifted.unwrap_or(batch);
        let len = batch.records.len() + FRAME;
        if len > state.inline || len > state.most {
            self.set_aside(state, &batch)?;
        } else {
            state.inline -= len;
            state.most -= len;
            if now {
                return Ok(Some(batch));
            }
            state.part.batches.push(batch);
        }
        if state.part.len >= PART {
            state.finish_part();
            self.changed.notify_one();
        }
        Ok(None)
    }

    /// Takes results in that have no room in the answer.
    fn set_aside(&self, state: &mut State, batch: &ResultBatch) -> Result<(), BackendError> {
        let key = self.job.output_key(self.run, state.part.number)?.as_str().to_owned();
        let mut records = Vec::new();
        let mut rest = &batch.records[..];
        let mut count = 0;
        if let Some(left) = state.most.checked_sub(FRAME) {
            state.most = left;
        } else {
            state.dropped = true;
            rest = &[];
        }
        while !rest.is_empty() {
            let start = records.len();
            let result = split_together(rest).map_err(|e| internal(&e))?;
            let Together { tag, body, len, .. } = result;
            let stored = tag == ResultTag::Output && body.len() > SHORT;
            if stored {
                let place = Payload::Stored {
                    key: key.clone(),
                    offset: state.part.len as u64,
                    len: body.len() as u64,
                };
                append_list(&mut records, result.count, ResultTag::Stored, |out| codec::encode(&place, out))
                    .map_err(|e| internal(&e))?;
            } else {
                records.extend_from_slice(&rest[..len]);
            }
            let Some(left) = state.most.checked_sub(records.len() - start) else {
                records.truncate(start);
                state.dropped = true;
                break;
            };
            state.most = left;
            if stored {
                state.part.put(batch.records.slice_ref(body));
            }
            count += result.count;
            rest = &rest[len..];
        }
        if count > 0 {
            let batch = ResultBatch { offset: batch.offset, count, records: records.into() };
            state.part.batches.push(batch);
        }
        Ok(())
    }
}

impl Part {
    /// Adds bytes; where they begin.
    fn put(&mut self, bytes: Bytes) -> u64 {
        let at = self.len as u64;
        self.len += bytes.len();
        self.outputs.push(bytes);
        at
    }
}

impl State {
    fn finish_part(&mut self) {
        self.parts += 1;
        let next = Part { number: self.parts, ..Part::default() };
        self.full.push_back(std::mem::replace(&mut self.part, next));
    }
}

/// Removes what was stored for a job that gives no signs of life any more: it has ended, and may have removed what there
/// was before this came. A job that others take items from gives signs from before its first invocation, and ends them
/// before it removes its objects, so that either it or this sees the object.
async fn remove_if_over(store: &Store, job: &JobId, key: &Key) -> Result<(), BackendError> {
    if store.head_opt(&job.beat_key()?).await?.is_none() {
        store.delete(key).await?;
    }
    Ok(())
}

fn internal(error: &dyn std::fmt::Display) -> BackendError {
    BackendError::new(ErrorClass::Internal, format!("a result cannot be stored: {error}"))
}

impl Events for Carrier {
    fn results(&self, id: u64, batch: ResultBatch) {
        let mut state = self.lock();
        match self.take(&mut state, batch) {
            Ok(None) => {}
            Ok(Some(batch)) => {
                drop(state);
                self.events.results(id, batch);
            }
            Err(error) => {
                // Cannot be: a pool looks at the records it passes on. Not reported is handed back.
                tracing::error!(%error, "results are lost");
                state.dropped = true;
            }
        }
    }

    fn started(&self, id: u64) {
        self.events.started(id);
    }

    fn alive(&self, id: u64) {
        self.events.alive(id);
    }

    fn log(&self, id: u64, mut line: LogLine) {
        let mut state = self.lock();
        if state.log_cut {
            return;
        }
        let room = state.log.saturating_sub(FRAME);
        let cut = line.bytes.len() > room;
        if cut {
            state.log_cut = true;
            line.bytes = [&line.bytes[..room], b"\n", CUT].concat().into();
        } else {
            state.log = room - line.bytes.len();
        }
        drop(state);
        self.events.log(id, line);
    }
}

#[cfg(test)]
#[path = "carrier_tests.rs"]
mod tests;

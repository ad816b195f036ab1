//! One future per input.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::decode::{output, task_failed};
use super::job::JobCore;
use crate::error::{Error, ErrorKind, Result};
use crate::failure::{FailureKind, TaskError};
use crate::protocol::records::split_result;
use crate::scheduler::outbox::Delivery;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// Not with a worker yet, or waiting to be tried again.
    Pending,
    /// With a worker.
    Running,
    /// It has an output.
    Done,
    /// It has failed for good.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// The states and outputs of all elements of a job.
pub(super) struct Table {
    cells: Mutex<Cells>,
}

struct Cells {
    cells: Vec<Cell>,
    end: Option<Error>,
}

enum Cell {
    Pending { running: bool, waker: Option<Waker> },
    Done(Bytes),
    Failed(TaskError),
    Taken(TaskState),
}

impl Cell {
    fn state(&self) -> TaskState {
        match self {
            Self::Pending { running: false, .. } => TaskState::Pending,
            Self::Pending { running: true, .. } => TaskState::Running,
            Self::Done(_) => TaskState::Done,
            Self::Failed(error) if error.kind() == Some(&FailureKind::Cancelled) => TaskState::Cancelled,
            Self::Failed(_) => TaskState::Failed,
            Self::Taken(state) => *state,
        }
    }
}

impl Table {
    fn new(len: usize) -> Self {
        let cells = (0..len).map(|_| Cell::Pending { running: false, waker: None }).collect();
        Self { cells: Mutex::new(Cells { cells, end: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mark(&self, first: u64, count: u32, is_running: bool) {
        let mut cells = self.lock();
        let from = usize::try_from(first).unwrap_or(usize::MAX).min(cells.cells.len());
        for cell in cells.cells[from..].iter_mut().take(count as usize) {
            if let Cell::Pending { running, .. } = cell {
                *running = is_running;
            }
        }
    }

    fn fill(&self, delivery: Delivery) -> Result<(), Error> {
        let mut wakers = Vec::new();
        let mut cells = self.lock();
        let mut set = |index: u64, new: Cell| {
            if let Some(cell) = usize::try_from(index).ok().and_then(|i| cells.cells.get_mut(i))
                && let Cell::Pending { waker: Some(waker), .. } = std::mem::replace(cell, new)
            {
                wakers.push(waker);
            }
        };
        match delivery {
            Delivery::Failed(error) => set(error.index, Cell::Failed(error)),
            Delivery::Results { first, count, records } => {
                let mut at = 0;
                for k in 0..u64::from(count) {
                    let (_, body, len) = split_result(&records[at..]).map_err(|error| {
                        Error::new(ErrorKind::Internal, format!("result {}: {error}", first + k))
                    })?;
                    set(first + k, Cell::Done(records.slice_ref(body)));
                    at += len;
                }
            }
        }
        drop(cells);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn end(&self, error: Option<Error>) {
        let mut cells = self.lock();
        cells.end = error;
        let mut wakers = Vec::new();
        for cell in &mut cells.cells {
            if let Cell::Pending { waker, .. } = cell {
                wakers.extend(waker.take());
            }
        }
        drop(cells);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The futures of a job.
pub(super) async fn futures<O>(core: &Arc<JobCore>) -> Result<Vec<TaskFuture<O>>> {
    let outbox = core.handle.outbox.clone();
    outbox.collect_errors();
    outbox.hold_all();
    // Ready as soon as the length of the inputs is known.
    poll_fn(|cx| outbox.poll_watch(cx, |progress, _| progress.total.is_some())).await;
    let Some(total) = outbox.progress().total else {
        let end = outbox.end().and_then(Result::err);
        return Err(end.unwrap_or_else(|| Error::new(ErrorKind::Internal, "a job ended without a length")));
    };
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let mut is_new = false;
    let table = core.table.get_or_init(|| {
        is_new = true;
        Arc::new(Table::new(total))
    });
    if is_new {
        outbox.commands().announce();
        let (table, outbox) = (Arc::clone(table), outbox.clone());
        core.executor.inner.driver.spawn(async move {
            let end = loop {
                match poll_fn(|cx| outbox.poll_next(cx)).await {
                    Some(Ok(delivery)) => {
                        outbox.release(delivery.weight());
                        if let Err(error) = table.fill(delivery) {
                            break Some(error);
                        }
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            table.end(end);
        });
    }
    let of =
        |index| TaskFuture { index, core: Arc::clone(core), table: Arc::clone(table), output: PhantomData };
    Ok((0..total).map(of).collect())
}

/// One input's output to be. Await it for the output.
pub struct TaskFuture<O> {
    index: usize,
    core: Arc<JobCore>,
    table: Arc<Table>,
    output: PhantomData<fn() -> O>,
}

impl<O> fmt::Debug for TaskFuture<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFuture")
            .field("index", &self.index)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<O> TaskFuture<O> {
    /// The position of its input.
    pub fn index(&self) -> u64 {
        self.index as u64
    }

    /// Where the task stands.
    pub fn state(&self) -> TaskState {
        let cells = self.table.lock();
        match &cells.cells[self.index] {
            // The job is over and this element will never be.
            Cell::Pending { .. } if cells.end.is_some() => TaskState::Cancelled,
            cell => cell.state(),
        }
    }

    /// Whether it has an output or has failed.
    pub fn is_done(&self) -> bool {
        !matches!(self.state(), TaskState::Pending | TaskState::Running)
    }

    /// Gives this task up, whether it waits or runs; others go on. No effect once it is done.
    pub fn cancel(&self) {
        self.core.handle.outbox.commands().cancel_element(self.index as u64);
    }
}

impl<O: DeserializeOwned> TaskFuture<O> {
    /// Waits for the output. Same as awaiting the future itself.
    pub async fn result(self) -> Result<O> {
        self.await
    }
}

impl<O: DeserializeOwned> Future for TaskFuture<O> {
    type Output = Result<O>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<O>> {
        let index = self.index as u64;
        let mut cells = self.table.lock();
        let cells = &mut *cells;
        let cell = &mut cells.cells[self.index];
        if let Cell::Pending { waker, .. } = cell {
            if let Some(end) = &cells.end {
                return Poll::Ready(Err(end.clone()));
            }
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let state = cell.state();
        Poll::Ready(match std::mem::replace(cell, Cell::Taken(state)) {
            Cell::Done(body) => output(index, &body),
            Cell::Failed(error) => Err(task_failed(error)),
            Cell::Taken(_) | Cell::Pending { .. } => {
                Err(Error::new(ErrorKind::Config, format!("the output of task {index} was taken before")))
            }
        })
    }
}

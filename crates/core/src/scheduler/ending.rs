//! The end of a job: what has come in is recorded, and how it ended, and then its holder is told.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::capsules::{Failed, Writer};
use super::input::{InputSource, Ready};
use super::keep::Parting;
use super::options::Budget;
use super::outbox::{Delivery, Outbox};
use super::recorder::{Apart, Recorded, Recorder};
use super::run::JobRun;
use super::signs::Signs;
use super::stats::JobStats;
use super::travel::CLEARING;
use crate::clock::Clock;
use crate::durable::{
    Commit, CommittedByIndex, End, Entry, How, Leadership, Results, Spent, Tally, note_stopped,
};
use crate::error::{Error, ErrorKind};
use crate::invoker::{JobSpec, Payload};
use crate::storage::{Key, Storage, StorageExt};

type Closing = Pin<Box<dyn Future<Output = Closed> + Send>>;

/// A job that has ended and has not told so.
pub(super) struct Ending {
    end: Result<(), Error>,
    closing: Option<Closing>,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("end", &self.end).finish_non_exhaustive()
    }
}

#[expect(clippy::large_enum_variant, reason = "made once for each job")]
enum Closed {
    Finished(Result<(), Error>),
    Parted(Parting),
}

impl JobRun {
    /// Nothing more is run.
    pub(super) fn begin_ending(&mut self, end: Result<(), Error>) {
        self.land();
        let unkept = self.keep.capsules.abandon();
        self.out.extend(unkept.into_iter().map(|failed| Delivery::Failed(failed.error)));
        self.publish();
        self.keep.ending = Some(Ending { end, closing: None });
    }

    /// Completes when the holder knows that the job has ended, or when somebody else is to go on with it.
    pub(super) fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut ending) = self.keep.ending.take() else { return Poll::Ready(()) };
        // Signs of life go on until the last of them has been taken back, or who writes that would wait for them.
        if let Err(error) = self.tend(cx) {
            ending.end = ending.end.and(Err(error));
        }
        if ending.closing.is_none() {
            if !self.out.is_empty() {
                self.publish();
            }
            match self.record(cx, true) {
                Ok(Recorded::Idle) if self.keep.capsules.is_idle() => {}
                Ok(Recorded::Waiting(_) | Recorded::Idle) => {
                    self.keep.ending = Some(ending);
                    return Poll::Pending;
                }
                Ok(Recorded::Deposed) => {
                    if let Some(Apart::Deposed(journal, committed)) =
                        self.keep.recorder.as_mut().and_then(Recorder::take_apart)
                    {
                        self.keep.parting = Some(Parting::Deposed(journal, committed));
                        return Poll::Ready(());
                    }
                }
                // What ended the job before matters more than that its last results are lost as well.
                Err(error) => ending.end = ending.end.and(Err(error)),
            }
        }
        // Signs of life are given until the last object is gone.
        if ending.closing.is_none() && self.poll_cleared(cx).is_pending() {
            self.keep.ending = Some(ending);
            return Poll::Pending;
        }
        let closing = if let Some(closing) = &mut ending.closing {
            closing
        } else {
            let end = std::mem::replace(&mut ending.end, Ok(()));
            ending.closing.insert(self.close(end))
        };
        let Poll::Ready(closed) = closing.as_mut().poll(cx) else {
            self.keep.ending = Some(ending);
            return Poll::Pending;
        };
        match closed {
            Closed::Finished(end) => self.outbox.finish(end),
            Closed::Parted(parting) => self.keep.parting = Some(parting),
        }
        Poll::Ready(())
    }

    fn close(&mut self, end: Result<(), Error>) -> Closing {
        let apart = self.keep.recorder.as_mut().and_then(Recorder::take_apart);
        let last = Last {
            spec: Arc::clone(&self.spec),
            fatal: self.keep.fatal.take(),
            writer: self.keep.capsules.take_writer(),
            stats: self.stats,
            spent: (self.options.budget != Budget::default()).then(|| self.spent()),
            tally: self.keep.recorder.as_ref().map_or_else(Tally::default, Recorder::tally),
            total: self.progress.total,
            leaving: self.keep.leaving,
            broken: self.keep.broken,
            signing: self.keep.is_giving_signs(),
        };
        match apart {
            Some(Apart::Leading(leadership, committed)) => {
                Box::pin(last.of_durable(end, leadership, committed))
            }
            Some(Apart::Deposed(journal, committed)) => {
                Box::pin(async move { Closed::Parted(Parting::Deposed(journal, committed)) })
            }
            None => {
                let signs = self.keep.signs.clone();
                let stored = self.keep.outputs.stored.then(|| Stored {
                    hold: self.keep.outputs.hold.take(),
                    source: std::mem::replace(&mut self.source, Box::new(Ready::new([]))),
                    outbox: self.outbox.clone(),
                });
                let (storage, clock) =
                    (Arc::clone(&self.resources.storage), Arc::clone(&self.resources.clock));
                Box::pin(async move {
                    Closed::Finished(last.of_plain(end, signs, stored, &*storage, &*clock).await)
                })
            }
        }
    }
}

/// Results that workers have stored, at the end of a job that is not kept.
struct Stored {
    hold: Option<oneshot::Receiver<Infallible>>,
    /// The job before may keep what this one's inputs refer to until this is dropped.
    source: Box<dyn InputSource>,
    outbox: Outbox,
}

impl Stored {
    /// Waits until nobody needs them any more. Who does is told of the job's end before. No input of this job is needed
    /// any more.
    async fn let_go(self, end: &Result<(), Error>) {
        drop(self.source);
        if let Some(hold) = self.hold {
            self.outbox.finish(end.clone());
            // Nothing is ever sent: it ends when the other end is dropped.
            let Err(_) = hold.await;
        }
    }
}

/// Removes what workers have stored of a job. Its signs of life have ended: a worker that stores something after this has
/// looked sees that, and removes it itself.
async fn remove_outputs(signs: &Signs, clock: &dyn Clock, storage: &dyn Storage) {
    let prefix = signs.id().output_prefix();
    let deleting = std::pin::pin!(storage.delete_prefix(&prefix));
    match select(deleting, clock.sleep(CLEARING)).await {
        Either::Left((Ok(_), _)) => {}
        Either::Left((Err(error), _)) => tracing::debug!(%prefix, %error, "stored results stay"),
        Either::Right(_) => tracing::debug!(%prefix, "stored results are not removed in time"),
    }
}

/// What is known of a job at its end.
struct Last {
    spec: Arc<JobSpec>,
    /// The element that ended it.
    fatal: Option<Failed>,
    writer: Option<Writer>,
    stats: JobStats,
    /// What the next driver has to know of, if the job has a budget.
    spent: Option<Spent>,
    tally: Tally,
    total: Option<u64>,
    leaving: bool,
    broken: bool,
    /// Whether signs of life are given, or were begun to be.
    signing: bool,
}

impl Last {
    /// Keeps the element that ended the job; its error then says how to run it again.
    async fn with_capsule(&mut self, end: Result<(), Error>) -> Result<(), Error> {
        let (Err(_), Some(mut failed), Some(writer)) = (&end, self.fatal.take(), &mut self.writer) else {
            return end;
        };
        match writer.keep(&mut failed).await {
            Ok(true) => Err(Error::from_task(failed.error)),
            Ok(false) => end,
            Err(error) => {
                tracing::info!(%error, "the failed task cannot be kept for `rustwren repro`");
                end
            }
        }
    }

    async fn of_durable(
        mut self,
        end: Result<(), Error>,
        mut leadership: Leadership,
        committed: Option<CommittedByIndex>,
    ) -> Closed {
        let by_content = committed.is_none();
        let end = self.with_capsule(end).await;
        let how = match &end {
            _ if self.broken => None,
            Ok(()) => Some(How::Done),
            Err(error) if error.kind() == ErrorKind::Task => Some(How::Failed(error.into())),
            Err(error) if error.kind() == ErrorKind::Cancelled && !self.leaving => Some(How::Cancelled),
            // Whatever it was, somebody may go on.
            Err(_) => None,
        };
        let Some(how) = how else {
            if !self.broken {
                self.tell_spent(&mut leadership).await;
                if !by_content && let Err(error) = &end {
                    self.tell_stopped(&leadership, error).await;
                }
            }
            if self.leaving && !self.broken {
                return Closed::Parted(Parting::Left(leadership));
            }
            if let Err(error) = leadership.heart().stop().await {
                tracing::debug!(%error, "the last sign of life stays");
            }
            return Closed::Finished(end.map_err(|error| self.kept(error, by_content)));
        };
        let entry = End { how, stats: self.stats, tally: self.tally };
        loop {
            match leadership.end(entry.clone()).await {
                Ok(Commit::Written(_)) => return Closed::Finished(end),
                Ok(Commit::Lost(_)) => {}
                Ok(Commit::Deposed(_)) => {
                    return Closed::Parted(Parting::Deposed(leadership.into_journal(), committed));
                }
                Err(error) if entry.how == How::Cancelled => {
                    let attempted = format!("job {} is stopped, but that it was cancelled", self.spec.label);
                    return Closed::Finished(Err(error.context(&format!("{attempted} cannot be recorded"))));
                }
                Err(error) => {
                    // All that there is to know has been told and recorded; whoever attaches finds it complete.
                    tracing::warn!(job = %self.spec.id, %error, "the job's end cannot be recorded");
                    return Closed::Finished(end);
                }
            }
        }
    }

    /// Records what was used up since the last results were, for the next driver.
    async fn tell_spent(&self, leadership: &mut Leadership) {
        let Some(spent) = self.spent else { return };
        let entry = Entry::Results(Results { spent, tally: self.tally, ..Results::default() });
        loop {
            match leadership.commit(&entry).await {
                Ok(Commit::Lost(_)) => {}
                // A new driver has read what stands there.
                Ok(Commit::Written(_) | Commit::Deposed(_)) => return,
                Err(error) => {
                    tracing::warn!(%error, "the next driver will not know all that the job has used up");
                    return;
                }
            }
        }
    }

    /// Whoever finds the job without a driver is to know that it needs a larger budget.
    async fn tell_stopped(&self, leadership: &Leadership, error: &Error) {
        if error.kind() != ErrorKind::Budget {
            return;
        }
        let journal = leadership.journal();
        if let Err(error) = note_stopped(journal.store(), journal.id(), &error.message()).await {
            tracing::warn!(%error, "that the job has stopped at its budget cannot be noted");
        }
    }

    async fn of_plain(
        mut self,
        end: Result<(), Error>,
        signs: Option<Signs>,
        stored: Option<Stored>,
        storage: &dyn Storage,
        clock: &dyn Clock,
    ) -> Result<(), Error> {
        let end = self.with_capsule(end).await;
        let has_stored = stored.is_some();
        if let Some(stored) = stored {
            stored.let_go(&end).await;
        }
        if self.signing
            && let Some(signs) = &signs
            && signs.started().is_none()
        {
            // A first sign that is on its way would stay. Whether it comes is told by `tend`.
            select(std::pin::pin!(signs.given()), clock.sleep(CLEARING)).await;
        }
        let Some(signs) = signs else { return end };
        let heart = signs.started();
        if let Some(heart) = heart
            && let Err(error) = heart.stop().await
        {
            tracing::debug!(%error, "the last sign of life stays");
        }
        if has_stored {
            remove_outputs(&signs, clock, storage).await;
        }
        if heart.is_some()
            && let Some(Payload::Stored { key, .. }) = &self.spec.shared
            && key.starts_with(&signs.id().prefix())
            && !self.writer.is_some_and(|writer| writer.need_shared())
        {
            let deleted = match Key::new(key.as_str()) {
                Ok(key) => storage.delete(&key).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::debug!(%error, "the shared value of a job that has ended stays");
            }
        }
        end
    }

    /// Says what is kept of a job that did not come to its end, and how to go on.
    fn kept(&self, error: Error, by_content: bool) -> Error {
        let Tally { done, .. } = self.tally;
        let of = self.total.map_or_else(String::new, |total| format!(" of {total}"));
        let go_on = match (by_content, error.kind()) {
            (true, _) => "run the same program again".to_owned(),
            (false, ErrorKind::Budget) => {
                format!("`rustwren jobs attach {}` with a larger budget", self.spec.id)
            }
            (false, _) => format!("`rustwren jobs attach {}`", self.spec.id),
        };
        error.and_hint(&format!("{done}{of} results are kept: to go on with the rest, {go_on}"))
    }
}

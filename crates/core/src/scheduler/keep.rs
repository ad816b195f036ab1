//! What of a job is kept in storage while it runs: signs of life, its results if it is a durable one, and its elements
//! that failed for good.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream};
use tokio::sync::oneshot;

use super::capsules::{Failed, Keeping, Writer};
use super::ending::Ending;
use super::input::Block;
use super::known::{Known, Sifted};
use super::outbox::Delivery;
use super::recorder::{Recorded, Recorder};
use super::run::JobRun;
use super::signs::Signs;
use crate::durable::{CommittedByIdentity, CommittedByIndex, Journal, Leadership, Sign, Spent, Store, Tally};
use crate::error::{Error, ErrorKind};
use crate::failure::TaskError;

/// A job that takes longer than this may have results in storage of which it does not know yet. Shorter ones are spared
/// the requests.
const SIGNS_AFTER: Duration = Duration::from_secs(5);

/// How a run of a durable job went apart from its end.
#[derive(Debug)]
pub enum Parting {
    /// Somebody else drives the job: its journal, up to where the other took the lead, and what was recorded by then.
    Deposed(Journal, Option<CommittedByIndex>),
    /// Its holder no longer wants it driven. Everything that was finished is recorded. The signs of life are still
    /// given.
    Left(Leadership),
}

/// What goes on beside a job's invocations.
enum Beside {
    Sign(Result<Sign, Error>),
    Capsule { writer: Writer, failed: Failed, kept: Result<bool, Error> },
}

/// Results that workers have stored, which are removed at the end.
#[derive(Default)]
pub(super) struct Outputs {
    /// Whether there may be any.
    pub(super) stored: bool,
    /// Whether signs of life were given because there may be some by now.
    foreseen: bool,
    /// Who needs them beyond the job's end: they stay until it is gone.
    pub(super) hold: Option<oneshot::Receiver<Infallible>>,
}

/// What a [`JobRun`] keeps in storage. Plain jobs keep nothing before there is a reason to.
#[derive(Default)]
pub(super) struct Keep {
    pub(super) signs: Option<Signs>,
    listening: bool,
    pub(super) outputs: Outputs,
    pub(super) recorder: Option<Recorder>,
    known: Option<Known>,
    pub(super) capsules: Keeping,
    beside: FuturesUnordered<Pin<Box<dyn Future<Output = Beside> + Send>>>,
    /// What can be told now.
    pub(super) ready: Vec<Delivery>,
    /// What was told of a job whose outcomes are recorded first.
    shown: Tally,
    /// The element that ended the job.
    pub(super) fatal: Option<Failed>,
    /// The holder no longer wants the job driven.
    pub(super) leaving: bool,
    /// Whether something went wrong that the job's storage would not let be written down.
    pub(super) broken: bool,
    pub(super) ending: Option<Ending>,
    pub(super) parting: Option<Parting>,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keep").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}

impl Keep {
    /// Whether signs of life are given, or the first is on its way.
    pub(super) fn is_giving_signs(&self) -> bool {
        self.listening
    }
}

impl JobRun {
    /// Gives signs of life from when something of the job is stored.
    pub fn kept(mut self, signs: Signs) -> Self {
        self.keep.signs = Some(signs);
        self.listen();
        self
    }

    /// Leaves results that workers have stored, and gives signs of life for them, until the other end of this is dropped,
    /// which may be after the job's end was told.
    pub fn held(mut self, hold: oneshot::Receiver<Infallible>) -> Self {
        self.keep.outputs.hold = Some(hold);
        self
    }

    /// Keeps elements that fail for good, for `rustwren repro`; `program` is the file of the job's program. To be
    /// called last.
    pub fn with_capsules(mut self, program: &str) -> Self {
        if let Some(signs) = &self.keep.signs {
            let refers = self.options.passing.refers;
            self.keep.capsules = Keeping::new(signs, &self.spec, program, &self.resources.clock, refers);
        }
        self
    }

    /// Records outcomes in the journal that `leadership` is over before anybody is told. `committed` were recorded and
    /// told before, by drivers who have used up `spent`.
    pub fn recorded(self, leadership: Leadership, committed: CommittedByIndex, spent: &Spent) -> Self {
        let (done, failed) = (committed.done(), committed.failed());
        let total = self.progress.total.unwrap_or(u64::MAX);
        let clock = Arc::clone(&self.resources.clock);
        let mut run = self.led_by(&leadership);
        let mut at = 0;
        for gap in committed.gaps(0..total) {
            run.done.add(at, gap.start);
            at = gap.end;
        }
        run.done.add(at, total);
        run.stats.begin_with(spent);
        run.purse.hold(spent);
        (run.progress.done, run.progress.failed) = (done, failed);
        run.keep.shown = Tally { done, failed };
        run.keep.recorder = Some(Recorder::by_index(leadership, committed, clock));
        run
    }

    /// Records outcomes by what their inputs are, and does not run inputs whose results are `committed`.
    pub fn resumed(self, leadership: Leadership, committed: CommittedByIdentity) -> Self {
        let clock = Arc::clone(&self.resources.clock);
        let mut run = self.led_by(&leadership);
        run.keep.known = Some(Known::new(run.store(), committed));
        run.keep.recorder = Some(Recorder::by_identity(leadership, clock));
        run
    }

    /// How it went, if it has completed without an end of the job.
    pub fn parting(&mut self) -> Option<Parting> {
        self.keep.parting.take()
    }

    fn led_by(mut self, leadership: &Leadership) -> Self {
        let signs = Signs::of(&self.store(), leadership.heart(), self.spec.entry.image);
        self.keep.signs = Some(signs);
        self.listen();
        self
    }

    pub(super) fn store(&self) -> Store {
        Store::new(Arc::clone(&self.resources.storage), Arc::clone(&self.resources.clock))
    }

    /// Hears what signs of life bring back, once the first was given.
    fn listen(&mut self) {
        if let Some(heart) = self.keep.signs.as_ref().and_then(Signs::started) {
            let heart = Arc::clone(heart);
            self.keep.listening = true;
            self.keep.beside.push(Box::pin(async move { Beside::Sign(Ok(heart.next_sign().await)) }));
        }
    }

    /// Something is about to be stored: signs of life begin.
    pub(super) fn give_signs(&mut self) -> Option<Signs> {
        let signs = self.keep.signs.clone()?;
        if !self.keep.listening {
            self.keep.listening = true;
            let signs = signs.clone();
            self.keep.beside.push(Box::pin(async move {
                Beside::Sign(match signs.given().await {
                    Ok(heart) => Ok(heart.next_sign().await),
                    Err(error) => Err(error),
                })
            }));
        }
        Some(signs)
    }

    /// A worker stores long results before it says so, with its answer perhaps, and nobody is to take them for a dead job's
    /// meanwhile. So where results may be stored, a job that takes its time gives signs of life.
    pub(super) fn foresee_stored(&mut self) {
        if self.keep.outputs.foreseen
            || self.keep.listening
            || self.keep.signs.is_none()
            || self.flights.is_empty()
            || self.resources.invoker.limits().max_inline_output == usize::MAX
        {
            return;
        }
        let due = self.started + SIGNS_AFTER;
        if self.now < due {
            return self.wake_at(due);
        }
        self.keep.outputs.foreseen = true;
        self.give_signs();
    }

    /// Sees to what goes on beside the invocations. Says whether anything has.
    pub(super) fn tend(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut any = false;
        while let Poll::Ready(Some(came)) = Pin::new(&mut self.keep.beside).poll_next(cx) {
            any = true;
            match came {
                Beside::Sign(Ok(sign)) => self.on_sign(&sign)?,
                // Whoever was about to store something meets the same error.
                Beside::Sign(Err(_)) => self.keep.listening = false,
                Beside::Capsule { writer, failed, kept } => {
                    self.out.push(Delivery::Failed(failed.error));
                    let unkept = self.keep.capsules.ended(writer, &kept);
                    self.out.extend(unkept.into_iter().map(|failed| Delivery::Failed(failed.error)));
                    self.write_capsules();
                }
            }
        }
        Ok(any)
    }

    /// Takes results that were known. After inputs were taken in, so that what is wanted is being read.
    pub(super) fn recall(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if !self.is_full()
            && let Some(known) = &mut self.keep.known
            && let Poll::Ready(results) = known.poll(cx)
        {
            self.keep.ready.append(&mut results?);
            return Ok(true);
        }
        Ok(false)
    }

    fn on_sign(&mut self, sign: &Sign) -> Result<(), Error> {
        match sign {
            Sign::Cancel => self.outbox.commands().cancel(),
            Sign::Deposed(_) => {
                if let Some(recorder) = &mut self.keep.recorder {
                    recorder.doubt();
                }
                return Ok(());
            }
            Sign::Removed => {
                self.keep.broken = true;
                let id = &self.spec.id;
                let message = format!("job {id} was removed from the storage while it ran");
                return Err(Error::new(ErrorKind::Cancelled, message).with_hint("run it again"));
            }
        }
        self.listen();
        Ok(())
    }

    /// Records what has come in, if it is time; delivers what is recorded. Says whether anything was. `flush`: without
    /// waiting for more.
    pub(super) fn record(&mut self, cx: &mut Context<'_>, flush: bool) -> Result<Recorded, Error> {
        let spent = self.spent();
        let Some(recorder) = &mut self.keep.recorder else { return Ok(Recorded::Idle) };
        if self.keep.broken {
            return Ok(Recorded::Idle);
        }
        let written = match recorder.poll(cx, spent, flush, &mut self.keep.ready) {
            Ok(written) => written,
            Err(error) => {
                self.keep.broken = true;
                let place = self.resources.storage.location();
                let attempted =
                    format!("the results of job {} cannot be recorded in {place}", self.spec.label);
                return Err(error.context(&attempted));
            }
        };
        if let Recorded::Waiting(Some(due)) = written {
            self.wake_at(due);
        }
        if !self.keep.ready.is_empty() {
            self.publish();
        }
        Ok(written)
    }

    /// Takes inputs into the backlog, but for those whose outcomes are known.
    pub(super) fn take_in(&mut self, block: Block) -> Result<(), Error> {
        if block.is_finished() {
            self.backlog.skip(block.count);
            return Ok(());
        }
        let first = self.backlog.end();
        let sifted = match &mut self.keep.known {
            None => {
                self.backlog.push(block);
                return Ok(());
            }
            Some(known) => known.sift(first, &block)?,
        };
        for part in sifted {
            let first = self.backlog.end();
            match part {
                Sifted::Known(count) => {
                    self.backlog.skip(count);
                    self.done.add(first, first + u64::from(count));
                    self.progress.done += u64::from(count);
                    if let Some(recorder) = &mut self.keep.recorder {
                        recorder.count_known(u64::from(count));
                    }
                }
                Sifted::Unknown(identities, bytes) => {
                    let count = identities.len() as u32;
                    if let Some(recorder) = &mut self.keep.recorder {
                        (first..)
                            .zip(identities)
                            .for_each(|(index, identity)| recorder.name(index, identity));
                    }
                    self.backlog.push(Block { count, bytes });
                }
            }
        }
        Ok(())
    }

    /// Whether so many known results are still to be brought that more inputs can wait.
    pub(super) fn has_enough_known(&self) -> bool {
        self.keep.known.as_ref().is_some_and(Known::is_busy)
    }

    /// Whether nothing is left to be brought or to be written before the job can end.
    pub(super) fn is_kept(&self) -> bool {
        self.keep.known.as_ref().is_none_or(Known::is_through) && self.keep.capsules.is_idle()
    }

    /// Whether no new elements should be begun for now: results wait for their holder, or for the storage.
    pub(super) fn is_full(&self) -> bool {
        let unrecorded = self.keep.recorder.as_ref().map_or(0, Recorder::unrecorded);
        unrecorded > self.options.result_buffer || self.outbox.is_full(self.fetches.bytes() + unrecorded)
    }

    /// An element has failed for good and is a result: it is told once it is kept, if it is.
    pub(super) fn tell_failed(&mut self, error: TaskError, input: Bytes) {
        match self.keep.capsules.take(Failed { error, input }) {
            Ok(()) => self.write_capsules(),
            Err(failed) => self.out.push(Delivery::Failed(failed.error)),
        }
    }

    fn write_capsules(&mut self) {
        if let Some((mut writer, mut failed)) = self.keep.capsules.begin() {
            self.give_signs();
            self.keep.beside.push(Box::pin(async move {
                let kept = writer.keep(&mut failed).await;
                Beside::Capsule { writer, failed, kept }
            }));
        }
    }

    /// Delivers what has come in, or hands it to the recorder, and brings the public numbers up to date.
    pub(super) fn publish(&mut self) {
        self.stats.elapsed = self.resources.clock.now().saturating_sub(self.started);
        let Some(recorder) = &mut self.keep.recorder else {
            return deliver(self, false);
        };
        recorder.take(&mut self.out);
        for delivery in &self.keep.ready {
            match delivery {
                Delivery::Results { count, .. } => self.keep.shown.done += u64::from(*count),
                Delivery::Failed(_) => self.keep.shown.failed += 1,
            }
        }
        deliver(self, true);
    }

    /// Shows the numbers with which it begins.
    pub(super) fn show(&mut self) {
        deliver(self, self.keep.recorder.is_some());
    }
}

fn deliver(run: &mut JobRun, recorded: bool) {
    let (mut new_progress, new_stats) = (run.progress, run.stats);
    if recorded {
        // What is not recorded is not done.
        (new_progress.done, new_progress.failed) = (run.keep.shown.done, run.keep.shown.failed);
    }
    let out = if recorded { &mut run.keep.ready } else { &mut run.out };
    run.outbox.deliver(out, |progress, stats| {
        *progress = new_progress;
        *stats = new_stats;
    });
}

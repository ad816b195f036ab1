//! A durable job in this process: driven while nobody else does, and viewed otherwise.
//!
//! A viewer reads the job's journal as it grows and delivers what stands there. When the driver's signs of life end and
//! the job has not, it takes the lead and runs what is missing; when it finds that somebody else has taken the lead, it
//! is a viewer again. Whoever holds the job sees the same deliveries in any case: each element's outcome once, as the
//! journal has it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};

use super::commands::Command;
use super::keep::Parting;
use super::outbox::{Delivery, Outbox};
use super::run::{JobRun, Resources};
use super::stats::{JobStats, Progress};
use super::{Budget, JobOptions};
use crate::durable::{
    BeatWatch, CommittedByIndex, End, Entry, Heart, How, InputStore, Journal, Leadership, Life, Logged,
    Manifest, Owner, Spent, Store, Taken, budget_set, cancel_requested, goes_on, request_cancel, take_lead,
};
use crate::error::{Error, ErrorKind, Result};
use crate::invoker::JobSpec;

/// A viewer looks for the next entry after so long, and less and less often while none comes.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a viewer looks whether the driver lives.
const LOOK: Duration = Duration::from_secs(1);

/// How this process takes a job over that nobody drives.
#[async_trait]
pub trait Takeover: Send + Sync {
    /// Gets ready. `None` when somebody else was told to drive it.
    async fn take_over(&self) -> Result<Option<Arc<JobSpec>>>;
}

/// A durable job, followed to its end.
pub struct Follow {
    /// What the job is. It has stored inputs.
    pub manifest: Manifest,
    /// Where it runs, and where its journal is.
    pub resources: Resources,
    /// How it is run, while it is driven from here.
    pub options: JobOptions,
    /// Where its outcomes go.
    pub outbox: Outbox,
    /// This process.
    pub owner: Owner,
    /// How long a sign of life holds.
    pub lease: Duration,
    /// How it is taken over.
    pub takeover: Box<dyn Takeover>,
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("job", &self.manifest.id).finish_non_exhaustive()
    }
}

/// How to begin.
#[expect(clippy::large_enum_variant, reason = "made once for each job")]
pub enum Begin {
    /// By viewing: somebody may drive it.
    Viewing,
    /// By driving it.
    Driving(Leadership),
    /// As the driver to whom it was handed over. Nothing is done if somebody else drives it by now.
    Chosen,
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewing => "Viewing",
            Self::Driving(_) => "Driving",
            Self::Chosen => "Chosen",
        })
    }
}

/// What has been delivered, and what the journal tells besides.
struct Seen {
    committed: CommittedByIndex,
    spent: Spent,
    out: Vec<Delivery>,
    progress: Progress,
    stats: JobStats,
    started: Duration,
}

/// Where a follower stands.
enum Stand {
    View(Journal),
    Drive(Journal),
    Ended(Result<()>),
    /// The end was told.
    Told,
    /// The holder has gone.
    Left(Option<Leadership>),
}

/// Makes sure that the holder does not wait for ever when the follower is dropped.
struct Goodbye {
    outbox: Outbox,
    label: String,
}

impl Drop for Goodbye {
    fn drop(&mut self) {
        let message = format!("job {} is no longer followed: the executor has ended", self.label);
        self.outbox.finish(Err(Error::new(ErrorKind::Cancelled, message)));
    }
}

impl Follow {
    /// Follows the job until it ends or its holder leaves. Then its outbox has an end. Hands back the right to drive it
    /// if it has it still; signs of life are given no longer unless the caller sees to it.
    pub async fn run(mut self, begin: Begin) -> Option<Leadership> {
        let goodbye = self.goodbye();
        let stand = self.follow(begin).await;
        let left = self.tell(stand);
        drop(goodbye);
        left
    }

    /// The same for a caller that has no use for the right to drive. It is given up before the outbox has its end: a
    /// program that exits then leaves no sign of life behind, and somebody else may drive at once.
    pub async fn run_to_end(mut self, begin: Begin) {
        let goodbye = self.goodbye();
        let stand = self.follow(begin).await;
        if let Ok(Stand::Left(Some(leadership))) = &stand
            && let Err(error) = leadership.heart().stop().await
        {
            tracing::debug!(%error, "the last sign of life stays");
        }
        self.tell(stand);
        drop(goodbye);
    }

    fn goodbye(&self) -> Goodbye {
        Goodbye { outbox: self.outbox.clone(), label: self.manifest.label.clone() }
    }

    /// Tells the holder how it ended. What is left of the right to drive.
    fn tell(&self, stand: Result<Stand>) -> Option<Leadership> {
        match stand {
            Ok(Stand::Ended(end)) => {
                self.outbox.finish(end);
                None
            }
            Ok(Stand::Left(leadership)) => {
                let label = &self.manifest.label;
                let message = format!("job {label} is no longer followed by this program");
                self.outbox.finish(Err(Error::new(ErrorKind::Cancelled, message)));
                leadership
            }
            Ok(_) => None,
            Err(error) => {
                let hint = format!("`rustwren jobs attach {}` looks again", self.manifest.id);
                self.outbox.finish(Err(error.and_hint(&hint)));
                None
            }
        }
    }

    async fn follow(&mut self, begin: Begin) -> Result<Stand> {
        let store = self.store();
        let id = self.manifest.id.clone();
        let mut seen = Seen {
            committed: CommittedByIndex::without_places(&id),
            spent: Spent::default(),
            out: Vec::new(),
            progress: Progress { total: self.total(), ..Progress::default() },
            stats: JobStats::default(),
            started: self.resources.clock.now(),
        };
        let mut stand = match begin {
            Begin::Viewing => Stand::View(Journal::open(&store, id)),
            Begin::Driving(leadership) => {
                let spec = Arc::new(self.manifest.spec());
                self.lead(&mut seen, leadership, spec).await?
            }
            Begin::Chosen => self.begin_chosen(&mut seen, Journal::open(&store, id)).await?,
        };
        loop {
            stand = match stand {
                Stand::View(journal) => self.view(&mut seen, journal).await?,
                Stand::Drive(journal) => self.drive(&mut seen, journal).await?,
                Stand::Ended(_) | Stand::Told | Stand::Left(_) => return Ok(stand),
            };
        }
    }

    fn store(&self) -> Store {
        Store::new(Arc::clone(&self.resources.storage), Arc::clone(&self.resources.clock))
    }

    fn total(&self) -> Option<u64> {
        self.manifest.inputs.as_ref().map(|inputs| inputs.elements)
    }

    /// Reads what has been written so far; drives unless somebody who lives does.
    async fn begin_chosen(&mut self, seen: &mut Seen, mut journal: Journal) -> Result<Stand> {
        if !self.read_on(seen, &mut journal).await? {
            return Ok(Stand::Left(None));
        }
        if let Some(end) = journal.view().end.clone() {
            return Ok(Stand::Ended(self.end(seen, end)));
        }
        match BeatWatch::new(&self.store(), &self.manifest.id).look().await? {
            Life::Alive(beat) if !beat.handed_over => Ok(Stand::Left(None)),
            _ => Ok(Stand::Drive(journal)),
        }
    }

    /// Delivers what is written until the job ends or nobody drives it.
    async fn view(&mut self, seen: &mut Seen, mut journal: Journal) -> Result<Stand> {
        self.outbox.set_driven(false);
        let mut watch = BeatWatch::new(&self.store(), &self.manifest.id);
        let clock = Arc::clone(&self.resources.clock);
        let mut pause = FIRST_PAUSE;
        let mut look = clock.now();
        if !self.read_on(seen, &mut journal).await? {
            return Ok(Stand::Left(None));
        }
        loop {
            if let Some(end) = journal.view().end.clone() {
                return Ok(Stand::Ended(self.end(seen, end)));
            }
            if clock.now() >= look {
                let life = watch.look().await?;
                // Whoever has ended its work since has written so before.
                if !self.read_some(seen, &mut journal).await? && !matches!(life, Life::Alive(_)) {
                    return Ok(Stand::Drive(journal));
                }
                look = clock.now() + LOOK;
                if journal.view().end.is_some() {
                    continue;
                }
            }
            if self.pause(pause).await? == Holder::Gone {
                return Ok(Stand::Left(None));
            }
            let any = self.read_some(seen, &mut journal).await?;
            pause = if any { FIRST_PAUSE } else { (pause * 3 / 2).min(LONGEST_PAUSE) };
            if any && self.room(0).await? == Holder::Gone {
                return Ok(Stand::Left(None));
            }
        }
    }

    /// Delivers all that is written and was not read, as fast as it is taken. `false` when the holder has gone.
    async fn read_on(&mut self, seen: &mut Seen, journal: &mut Journal) -> Result<bool> {
        loop {
            let mut full = false;
            let came = journal
                .read_all(|logged| {
                    self.take(seen, logged)?;
                    full = self.outbox.is_full(0);
                    if full { Err(Error::new(ErrorKind::Internal, "enough for now")) } else { Ok(()) }
                })
                .await;
            match came {
                Ok(()) => return Ok(true),
                Err(_) if full => {}
                Err(error) => return Err(error),
            }
            if self.room(0).await? == Holder::Gone {
                return Ok(false);
            }
        }
    }

    /// Delivers the next entries, a few at a time. Whether there were any.
    async fn read_some(&mut self, seen: &mut Seen, journal: &mut Journal) -> Result<bool> {
        let mut any = false;
        while !self.outbox.is_full(0)
            && let Some(logged) = journal.read_next().await?
        {
            any = true;
            self.take(seen, &logged)?;
            if journal.view().end.is_some() {
                break;
            }
        }
        Ok(any)
    }

    /// Delivers what is new in an entry.
    fn take(&self, seen: &mut Seen, logged: &Logged) -> Result<()> {
        seen.out.extend(seen.committed.add(logged)?.into_iter().map(Delivery::from));
        if let Entry::Results(results) = &logged.entry {
            seen.spent = results.spent;
            seen.stats.begin_with(&results.spent);
        }
        self.show(seen);
        Ok(())
    }

    fn show(&self, seen: &mut Seen) {
        seen.progress.done = seen.committed.done();
        seen.progress.failed = seen.committed.failed();
        seen.stats.elapsed = self.resources.clock.now().saturating_sub(seen.started);
        let (new_progress, new_stats) = (seen.progress, seen.stats);
        self.outbox.deliver(&mut seen.out, |progress, stats| {
            *progress = new_progress;
            *stats = new_stats;
        });
    }

    /// How the job ended, as its driver has written it.
    fn end(&self, seen: &mut Seen, end: End) -> Result<()> {
        seen.stats = end.stats;
        self.show(seen);
        match end.how {
            How::Done => Ok(()),
            How::Cancelled => {
                let (label, done) = (&self.manifest.label, end.tally.done);
                let message = format!("job {label} was cancelled after {done} results");
                Err(Error::new(ErrorKind::Cancelled, message))
            }
            How::Failed(failure) => Err(failure.into()),
        }
    }

    /// Takes the lead.
    async fn drive(&mut self, seen: &mut Seen, journal: Journal) -> Result<Stand> {
        let Some(spec) = self.takeover.take_over().await? else {
            return Ok(Stand::View(journal));
        };
        let store = self.store();
        let (id, owner, image) = (&self.manifest.id, self.owner.clone(), self.manifest.image);
        let heart = Heart::start(&store, id, owner, self.lease, Some(image)).await?;
        match take_lead(journal, Arc::clone(&heart), |logged| self.take(seen, logged)).await? {
            Taken::Leading(leadership) => self.lead(seen, leadership, spec).await,
            Taken::Other(journal) => {
                heart.leave().await;
                Ok(Stand::View(journal))
            }
        }
    }

    /// Drives the job.
    async fn lead(&mut self, seen: &mut Seen, leadership: Leadership, spec: Arc<JobSpec>) -> Result<Stand> {
        let store = self.store();
        let id = self.manifest.id.clone();
        let mut options = self.options.clone();
        if let Some(budget) = budget_set(&store, &id).await? {
            options.budget = budget;
        }
        if options.budget != Budget::default() {
            goes_on(&store, &id).await?;
        }
        if cancel_requested(&store, &id).await? {
            self.outbox.commands().cancel();
        }
        let committed = std::mem::replace(&mut seen.committed, CommittedByIndex::without_places(&id));
        let Some(inputs) = &self.manifest.inputs else {
            let message = format!("job {id} has no stored inputs: only its own program can go on with it");
            return Err(Error::new(ErrorKind::Config, message).with_hint("run the program again"));
        };
        let source = InputStore::new(&store, &id)
            .read_some(inputs, |elements| committed.gaps(elements).next().is_some());
        let mut run =
            JobRun::new(spec, options, Box::new(source), self.outbox.clone(), self.resources.clone())
                .recorded(leadership, committed, &seen.spent)
                .with_capsules(&self.manifest.program);
        (&mut run).await;
        match run.parting() {
            None => Ok(Stand::Told),
            Some(Parting::Left(leadership)) => Ok(Stand::Left(Some(leadership))),
            Some(Parting::Deposed(journal, committed)) => {
                if let Some(committed) = committed {
                    seen.committed = committed;
                }
                Ok(Stand::View(journal))
            }
        }
    }

    /// Waits for so long, or until the holder says something.
    async fn pause(&self, time: Duration) -> Result<Holder> {
        let heard = poll_fn(|cx| {
            let commands = self.outbox.commands().take(cx);
            let any = commands.iter().any(|command| matches!(command, Command::Cancel | Command::Leave));
            if any { Poll::Ready(commands) } else { Poll::Pending }
        });
        match select(heard, self.resources.clock.sleep(time)).await {
            Either::Left((commands, _)) => self.obey(&commands).await,
            Either::Right(_) => Ok(Holder::There),
        }
    }

    /// Waits until there is room for more deliveries.
    async fn room(&self, more: usize) -> Result<Holder> {
        loop {
            let commands = poll_fn(|cx| {
                // First, so that what happens in between is heard.
                let commands = self.outbox.commands().take(cx);
                let any = commands.iter().any(|command| matches!(command, Command::Cancel | Command::Leave));
                if any || !self.outbox.is_full(more) { Poll::Ready(commands) } else { Poll::Pending }
            })
            .await;
            if self.obey(&commands).await? == Holder::Gone {
                return Ok(Holder::Gone);
            }
            if !self.outbox.is_full(more) {
                return Ok(Holder::There);
            }
        }
    }

    /// Does what the holder of a viewed job can ask for.
    async fn obey(&self, commands: &[Command]) -> Result<Holder> {
        if commands.iter().any(|command| matches!(command, Command::Cancel)) {
            request_cancel(&self.store(), &self.manifest.id).await?;
        }
        let gone = commands.iter().any(|command| matches!(command, Command::Leave));
        Ok(if gone { Holder::Gone } else { Holder::There })
    }
}

/// Whether whoever holds the job still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    There,
    Gone,
}

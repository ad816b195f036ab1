//! One invocation on its way through its fate.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, BoxFuture, Either, select};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, Payload, Reply, Stopped};
use rustwren_core::protocol::records::split_input;

use crate::fate::{Fate, Trouble};
use crate::filter::{Echo, Filter, Passage, report_late};
use crate::invoker::{Shared, throttled, transient};
use crate::ramp::Admission;
use crate::tally::Tally;

type Answer = Result<Reply, BackendError>;

/// One invocation.
pub(crate) struct Call {
    shared: Arc<Shared>,
    number: u64,
    fate: Fate,
    invocation: Invocation,
    events: Arc<dyn Events>,
}

impl Call {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        number: u64,
        fate: Fate,
        invocation: Invocation,
        events: &Arc<dyn Events>,
    ) -> Self {
        Self { shared: Arc::clone(shared), number, fate, invocation, events: Arc::clone(events) }
    }

    pub(crate) async fn run(mut self) -> Answer {
        self.wait(self.fate.there).await;
        let answer = match self.fate.trouble {
            Some(Trouble::Throttled) => {
                self.note("throttled", |tally| tally.throttled += 1);
                Err(throttled(&self.name(), &self.shared.plan))
            }
            Some(Trouble::Transient) => {
                self.note("transient", |tally| tally.transient += 1);
                Err(transient(&self.name()))
            }
            _ => {
                if let Some(environment) = Environment::enter(&self.shared) {
                    self.inside(environment).await
                } else {
                    self.note("refused", |tally| tally.refused += 1);
                    Err(throttled(&self.name(), &self.shared.plan))
                }
            }
        };
        self.wait(self.fate.back).await;
        answer
    }

    /// In an environment of its own.
    async fn inside(&mut self, mut environment: Environment) -> Answer {
        if self.fate.trouble == (Some(Trouble::Lost { runs: false })) {
            self.note("lost", |tally| tally.lost += 1);
            environment.lose();
            return pending().await;
        }
        let start = if environment.cold { self.fate.cold_start } else { Duration::ZERO };
        self.wait(start).await;
        if self.fate.trouble == Some(Trouble::Crashed) {
            self.note("crashed", |tally| tally.crashed += 1);
            environment.lose();
            return Err(self.crashed());
        }
        let second = self.second();
        let mut answer = self.first().await;
        match self.fate.trouble {
            Some(Trouble::CrashedAfter) if answer.is_ok() => {
                self.note("crashed after", |tally| tally.crashed_after += 1);
                environment.lose();
                answer = Err(self.crashed());
            }
            Some(Trouble::Lost { runs: true }) => {
                self.note("lost after", |tally| tally.lost_after += 1);
                drop(environment);
                return pending().await;
            }
            _ => {}
        }
        if let Some(second) = second {
            second.goes_on();
        }
        if let Ok(reply) = &mut answer
            && environment.cold
            && self.shared.plan.has_environments()
        {
            reply.usage.start += start;
            reply.usage.cold = true;
        }
        answer
    }

    /// The run whose answer counts.
    async fn first(&mut self) -> Answer {
        let mut invocation = self.invocation.clone();
        let handed_back = if let Some(Trouble::HandedBack(share)) = self.fate.trouble {
            self.note("handed back", |tally| tally.handed_back += 1);
            shorten(&mut invocation, share);
            true
        } else {
            false
        };
        let passage = match self.fate.trouble {
            Some(Trouble::CrashedAfter | Trouble::Lost { .. }) => Passage::First(self.fate.batches),
            _ => Passage::All,
        };
        let straggler = self.fate.straggler;
        if straggler.is_some() {
            self.note("straggler", |tally| tally.stragglers += 1);
        }
        let (id, rng) = (self.invocation.id, self.fate.rng.clone());
        let filter = Filter::new(&self.shared, &self.events, id, rng, passage, straggler.is_some());
        let ghost = self.fate.ghost && passage == Passage::All;
        let mut running = Running {
            shared: Arc::clone(&self.shared),
            future: Some(attend(&self.shared, invocation, filter, straggler)),
            ghost: ghost.then(|| (Arc::clone(&self.events), id)),
        };
        let mut answer = poll_fn(|cx| running.poll(cx)).await;
        if let Ok(reply) = &mut answer
            && handed_back
            && reply.stopped.is_none()
        {
            reply.stopped = Some(Stopped::default());
        }
        answer
    }

    /// Begins the second run, if there is one.
    fn second(&self) -> Option<Second> {
        let later = self.fate.duplicate?;
        self.note("duplicated", |tally| tally.duplicated += 1);
        let (shared, to, id) = (Arc::clone(&self.shared), Arc::clone(&self.events), self.invocation.id);
        let invocation = Invocation { id: shared.copy_id(), ..self.invocation.clone() };
        let (handle, registration) = AbortHandle::new_pair();
        let task = async move {
            shared.clock.sleep(later).await;
            let echo: Arc<dyn Events> = Arc::new(Echo { to: Arc::clone(&to), id });
            if let Ok(reply) = enter_inner(&shared, invocation, echo).await {
                report_late(&*to, id, reply);
            }
        };
        self.shared.background.spawn(async move {
            // Aborted or not, it is over.
            Abortable::new(task, registration).await.unwrap_or_default();
        });
        Some(Second { handle: Some(handle) })
    }

    async fn wait(&self, time: Duration) {
        self.shared.wait(time).await;
    }

    fn name(&self) -> String {
        let Invocation { first, count, job, .. } = &self.invocation;
        format!("invocation {} (elements {first}+{count} of {})", self.number, job.label)
    }

    fn crashed(&self) -> BackendError {
        BackendError::new(ErrorClass::WorkerCrashed, format!("chaos: the worker of {} died", self.name()))
    }

    fn note(&self, fault: &str, count: impl FnOnce(&mut Tally)) {
        self.shared.tally.count(count);
        let Invocation { first, count, job, .. } = &self.invocation;
        tracing::debug!(number = self.number, job = %job.id, first, count, "chaos: {fault}");
    }
}

/// Runs an invocation at the wrapped invoker, as soon as that takes one more.
fn enter_inner(
    shared: &Arc<Shared>,
    invocation: Invocation,
    events: Arc<dyn Events>,
) -> BoxFuture<'static, Answer> {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let gate = &shared.gate;
        let mut permit = Arc::clone(gate).try_acquire_owned().ok();
        if permit.is_none() {
            // Its environment seems to be at work. An error would mean that the gate was closed, which nobody does.
            events.started(invocation.id);
            let waiting = Arc::clone(gate).acquire_owned();
            permit = shared.meanwhile(waiting, &events, invocation.id).await.ok();
        }
        let answer = shared.inner.invoke(invocation, &events).await;
        drop(permit);
        answer
    })
}

/// A first run: what the worker does and what is held back of it.
fn attend(
    shared: &Arc<Shared>,
    invocation: Invocation,
    filter: Arc<Filter>,
    straggler: Option<f64>,
) -> BoxFuture<'static, Answer> {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let (began, id) = (shared.clock.now(), invocation.id);
        let events: Arc<dyn Events> = Arc::clone(&filter) as Arc<dyn Events>;
        let answer = if invocation.count == 0 {
            Ok(Reply::default())
        } else {
            enter_inner(&shared, invocation, Arc::clone(&events)).await
        };
        if let Some(factor) = straggler {
            let (least, most) = shared.plan.straggler_delay;
            let took = shared.clock.now().saturating_sub(began).as_secs_f64() * (factor - 1.0);
            let longer = Duration::try_from_secs_f64(took).unwrap_or(Duration::MAX);
            shared.meanwhile(shared.wait(longer.max(least).min(most)), &events, id).await;
        }
        filter.flush();
        answer
    })
}

/// Leaves the first elements of an invocation, as many as this share of all. None where its inputs cannot be cut:
/// a worker that does not begin has no need to read them.
fn shorten(invocation: &mut Invocation, share: f64) {
    let count = (f64::from(invocation.count) * share) as u32;
    invocation.count = 0;
    let Payload::Inline(parts) = &invocation.inputs else { return };
    let records = parts.concat();
    let mut end = 0;
    for _ in 0..count {
        let Ok((_, len)) = split_input(&records[end..]) else { return };
        end += len;
    }
    invocation.count = count;
    invocation.inputs = Payload::Inline(vec![bytes::Bytes::from(records).slice(..end)]);
}

/// The first run. When it is dropped under way, its worker may go on for a while.
struct Running {
    shared: Arc<Shared>,
    future: Option<BoxFuture<'static, Answer>>,
    /// Where a worker that does not stop at once reports.
    ghost: Option<(Arc<dyn Events>, u64)>,
}

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let answer = Pin::new(future).poll(cx);
        if answer.is_ready() {
            self.future = None;
        }
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(future), Some((events, id))) = (self.future.take(), self.ghost.take()) else { return };
        self.shared.tally.count(|tally| tally.ghosts += 1);
        let shared = Arc::clone(&self.shared);
        self.shared.background.spawn(async move {
            let stop = pin!(shared.clock.sleep(shared.plan.linger));
            if let Either::Left((Ok(reply), _)) = select(future, stop).await {
                report_late(&*events, id, reply);
            }
        });
    }
}

/// A second run. It is given up with the first, but not when that has ended.
struct Second {
    handle: Option<AbortHandle>,
}

impl Second {
    fn goes_on(mut self) {
        self.handle = None;
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

/// A place in the fleet. Dropping it leaves the environment warm for the next.
struct Environment {
    shared: Arc<Shared>,
    cold: bool,
    lost: bool,
}

impl Environment {
    fn enter(shared: &Arc<Shared>) -> Option<Self> {
        let now = shared.clock.now();
        let admission = shared.with_fleet(|fleet| fleet.admit(now));
        let cold = match admission {
            Admission::Refused { .. } => return None,
            Admission::Warm => false,
            Admission::Cold => {
                shared.tally.count(|tally| tally.cold_starts += 1);
                true
            }
        };
        Some(Self { shared: Arc::clone(shared), cold, lost: false })
    }

    fn lose(&mut self) {
        self.lost = true;
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let (now, lost) = (self.shared.clock.now(), self.lost);
        self.shared.with_fleet(|fleet| if lost { fleet.lose() } else { fleet.release(now) });
    }
}

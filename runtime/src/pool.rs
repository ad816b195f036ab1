//! A pool of function processes.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::invoker::{Events, Invocation, JobSpec, Payload, Reply, Usage};
use rustwren_core::storage::Storage;
use tokio::sync::Semaphore;

use crate::driver::{Place, drive};
use crate::fetch::fetch;
use crate::life::{self, Life, Lifetime};
use crate::options::PoolOptions;
use crate::references::resolve;
use crate::state::{Call, EventSink, KnownJob, Pieces, State, Told};

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Arc<PoolOptions>,
    state: Mutex<State>,
    /// Turns of processes to start.
    pub(crate) turns: Semaphore,
    own: Weak<Inner>,
}

impl Inner {
    /// Changes the state, then tells what there is to tell about it, with the state unlocked.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut state);
        let told = std::mem::take(&mut state.told);
        let woken = std::mem::take(&mut state.woken);
        let start = std::mem::take(&mut state.to_start);
        drop(state);
        told.into_iter().for_each(Told::tell);
        woken.into_iter().for_each(Waker::wake);
        for (index, generation) in start {
            self.start(index, generation);
        }
        changed
    }
}

/// Function processes that share one queue of invocations.
///
/// Processes are started when they are needed and stay until the pool is dropped or shut down; then all are
/// gone. Must be used inside a tokio runtime with time and I/O enabled; a current-thread runtime will do.
#[derive(Debug)]
pub struct Pool {
    inner: Arc<Inner>,
    storage: Option<Arc<dyn Storage>>,
}

impl Pool {
    /// A pool that has not started any process yet. Inputs and shared values that lie in storage are read from
    /// the one given.
    pub fn new(options: PoolOptions, storage: Option<Arc<dyn Storage>>) -> Self {
        let options = Arc::new(options);
        let state = Mutex::new(State::new(Arc::clone(&options)));
        // Starting is work for processors. Were all started at once, none would serve until nearly all do.
        let turns = Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from) + 1);
        let inner = Arc::new_cyclic(|own| Inner { options, state, turns, own: Weak::clone(own) });
        Self { inner, storage }
    }

    /// How the pool runs its processes.
    pub fn options(&self) -> &PoolOptions {
        &self.inner.options
    }

    /// The ids of the processes that are there now.
    pub fn pids(&self) -> Vec<u32> {
        self.inner.with(|state| {
            state
                .workers
                .iter()
                .filter_map(|w| w.process.as_ref())
                .map(crate::process::Process::pid)
                .collect()
        })
    }

    /// Runs an invocation: [`rustwren_core::invoker::Invoker::invoke`]. Dropping the future cancels it.
    pub async fn invoke(
        &self,
        invocation: Invocation,
        events: &Arc<dyn Events>,
    ) -> Result<Reply, BackendError> {
        self.invoke_for(Life::Unlimited, invocation, events).await
    }

    /// The same with a limited life: what is done by its end is handed back, and an element that had all of that life
    /// and was not done has [timed out](rustwren_core::failure::FailureKind::TimedOut).
    pub async fn invoke_for(
        &self,
        life: Life,
        invocation: Invocation,
        events: &Arc<dyn Events>,
    ) -> Result<Reply, BackendError> {
        let fetching = Instant::now();
        let inputs = match invocation.inputs {
            Payload::Inline(rope) => rope,
            Payload::Stored { key, offset, len } => self.fetch(&key, offset, len).await?,
        };
        let inputs = if invocation.passing.refers {
            resolve(&**self.storage("inputs")?, inputs).await?
        } else {
            inputs
        };
        let shared = match &invocation.job.shared {
            Some(Payload::Stored { key, offset, len }) if !self.knows(&invocation.job) => {
                self.fetch(key, *offset, *len).await?
            }
            Some(Payload::Inline(rope)) => rope.clone(),
            _ => Vec::new(),
        };
        if invocation.count == 0 {
            return Err(BackendError::new(ErrorClass::Invalid, "an invocation has at least one element"));
        }
        let size: u64 = inputs.iter().map(|part| part.len() as u64).sum();
        let most = (rustwren_core::protocol::frame::MAX_BODY - 64) as u64;
        if size > most {
            let message = format!("an invocation's inputs take {size} bytes, and at most {most} can be sent");
            return Err(BackendError::new(ErrorClass::Invalid, message));
        }
        let queued_at = Instant::now();
        let submitted = self.inner.with(|state| {
            if state.closed {
                return Err(BackendError::new(
                    ErrorClass::Cancelled,
                    "the pool of function processes is closed",
                ));
            }
            let key = job_key(state, &invocation.job, shared);
            let call = state.calls.insert(Call {
                invocation: invocation.id,
                key,
                first: invocation.first,
                attempt: invocation.attempt,
                concurrency: invocation.concurrency,
                whole: invocation.whole,
                life: Lifetime::new(life),
                events: EventSink(Arc::clone(events)),
                pieces: Pieces::default(),
                queued_at,
                told_started: false,
                results: Vec::new(),
                failed: Vec::new(),
                suspects: Vec::new(),
                incomplete: false,
                usage: Usage { fetch: queued_at.saturating_duration_since(fetching), ..Usage::default() },
                outcome: None,
                waker: None,
                job: invocation.job,
            });
            let piece = state.add_piece(call, 0, invocation.count, inputs);
            state.queue.push_back(piece);
            state.dispatch(queued_at);
            state.wind_down_all(queued_at);
            Ok(call)
        });
        let key = submitted?;
        let mut waiting = Waiting { pool: self, call: Some(key) };
        let outcome = life::attend(&self.inner, key).await;
        waiting.call = None;
        outcome
    }

    /// Begins no more elements of any invocation, of those to come neither, and gives those that run until then. What
    /// is finished is handed back, and nobody is blamed for the rest.
    pub fn wind_down(&self, until: Instant) {
        self.inner.with(|state| {
            state.winding_down = Some(until);
            state.wind_down_all(Instant::now());
        });
    }

    /// Ends all processes and cancels what is under way. Returns when they are gone.
    pub fn shutdown(&self) {
        let processes: Vec<_> = self.inner.with(|state| {
            state.closed = true;
            let keys: Vec<usize> = state.calls.iter().map(|(key, _)| key).collect();
            for key in keys {
                state.fail_call(key, BackendError::new(ErrorClass::Cancelled, "the pool was shut down"));
            }
            state.queue.clear();
            for worker in &state.workers {
                worker.notify.notify_one();
            }
            state.workers.iter_mut().filter_map(|w| w.process.take()).collect()
        });
        // All at once first: ending each waits until it is gone.
        let mut processes = processes;
        for process in &mut processes {
            process.kill();
        }
        drop(processes);
    }

    fn knows(&self, job: &Arc<JobSpec>) -> bool {
        self.inner.with(|state| state.jobs.iter().any(|known| known.spec.as_ptr() == Arc::as_ptr(job)))
    }

    async fn fetch(&self, key: &str, offset: u64, len: u64) -> Result<Vec<Bytes>, BackendError> {
        Ok(vec![fetch(&**self.storage(key)?, key, offset, len).await?])
    }

    fn storage(&self, wanted: &str) -> Result<&Arc<dyn Storage>, BackendError> {
        self.storage.as_ref().ok_or_else(|| {
            let message = format!("{wanted} may lie in storage, and none is configured");
            BackendError::new(ErrorClass::Misconfigured, message)
        })
    }
}

impl State {
    /// What came of a call, once it is over; until then its caller is noted as waiting.
    pub(crate) fn take_outcome(
        &mut self,
        key: usize,
        cx: &Context<'_>,
    ) -> Option<Result<Reply, BackendError>> {
        let call = self.calls.get_mut(key)?;
        if call.outcome.is_none() {
            match &mut call.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return None;
        }
        self.calls.try_remove(key)?.outcome
    }
}

/// The key that processes know a job by. Jobs that nobody has any more are forgotten on the way.
fn job_key(state: &mut State, job: &Arc<JobSpec>, shared: Vec<Bytes>) -> u32 {
    if let Some(known) = state.jobs.iter().find(|known| known.spec.as_ptr() == Arc::as_ptr(job)) {
        return known.key;
    }
    let State { jobs, workers, .. } = state;
    jobs.retain(|known| {
        let needed = known.spec.strong_count() > 0;
        if !needed {
            for worker in workers.iter_mut() {
                worker.forget.push(known.key);
                worker.notify.notify_one();
            }
        }
        needed
    });
    state.next_job = state.next_job.wrapping_add(1);
    let key = state.next_job;
    state.jobs.push(KnownJob { key, spec: Arc::downgrade(job), shared });
    key
}

impl Inner {
    /// Starts the driver of a new process. Where there is no runtime for it, the place is free again at once.
    fn start(&self, index: usize, generation: u64) {
        let Some(own) = self.own.upgrade() else { return };
        let place = Place { inner: own, index, generation };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(drive(place))),
            Err(_) => drop(place),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// A call that its caller waits for.
struct Waiting<'a> {
    pool: &'a Pool,
    call: Option<usize>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.pool.inner.with(|state| state.cancel(call, Instant::now()));
        }
    }
}

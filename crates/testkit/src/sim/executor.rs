//! An executor of one thread that polls ready tasks in an order drawn from a seed.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use rustwren_core::clock::Clock;

use super::clock::{SimClock, lock};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a simulation did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// Tasks are left, none is ready and no timer is set.
    Stalled {
        /// The names of the tasks that wait.
        waiting: Vec<String>,
    },
    /// A task was polled too often without time going on.
    Busy {
        /// Its name.
        task: String,
        /// How often.
        polls: u64,
    },
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled { waiting } => {
                write!(f, "nothing is ready and no timer is set, but these wait: {waiting:?}")
            }
            Self::Busy { task, polls } => write!(f, "{task} was polled {polls} times in one moment"),
        }
    }
}

/// Spawns tasks from within tasks. Clones belong to the same executor.
#[derive(Clone, Default)]
pub struct Spawner {
    new: Arc<Mutex<Vec<(String, Task)>>>,
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

impl Spawner {
    /// Adds a task; the name is for messages.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.new).push((name.into(), Box::pin(task)));
    }
}

/// Stands for the future of `block_on` among the tasks.
const MAIN: usize = usize::MAX;

/// Wakes one task by putting it into the queue of ready ones.
struct Flag {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.ready).push(self.task);
        }
    }
}

struct Slot {
    name: String,
    task: Option<Task>,
    flag: Arc<Flag>,
    /// Polls since time last went on.
    polls: u64,
}

/// Runs tasks to their end under simulated time. Which of several ready tasks goes next is drawn from the seed, so
/// that seeds explore interleavings; the same seed always gives the same run.
pub struct SimExecutor {
    clock: SimClock,
    spawner: Spawner,
    slots: Vec<Slot>,
    ready: Arc<Mutex<Vec<usize>>>,
    rng: fastrand::Rng,
    /// Most polls of one task in one moment.
    most_polls: u64,
    polls: u64,
    left: usize,
}

impl fmt::Debug for SimExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimExecutor")
            .field("now", &self.clock.now())
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl SimExecutor {
    /// An executor without tasks.
    pub fn new(clock: SimClock, seed: u64) -> Self {
        Self {
            clock,
            spawner: Spawner::default(),
            slots: Vec::new(),
            ready: Arc::default(),
            rng: fastrand::Rng::with_seed(seed),
            most_polls: 3_000,
            polls: 0,
            left: 0,
        }
    }

    /// A way to add tasks, before and during the run.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// How many times tasks have been polled.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Runs until every task has ended. Time goes on whenever none is ready.
    pub fn run(&mut self) -> Result<(), Stuck> {
        self.block_on(async {})
    }

    /// Runs one future, and whatever is spawned, to the end.
    pub fn block_on<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stuck> {
        let mut future = pin!(future);
        let mut output = None;
        let flag = Flag { task: MAIN, queued: AtomicBool::new(true), ready: Arc::clone(&self.ready) };
        let flag = Arc::new(flag);
        let mut polls = 0;
        lock(&self.ready).push(MAIN);
        loop {
            self.adopt();
            match self.pick() {
                Some(MAIN) if output.is_some() => {}
                Some(MAIN) => {
                    flag.queued.store(false, Ordering::Release);
                    polls += 1;
                    self.polls += 1;
                    if polls > self.most_polls {
                        return Err(Stuck::Busy { task: "main".to_owned(), polls });
                    }
                    let waker = Waker::from(Arc::clone(&flag));
                    if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        output = Some(value);
                    }
                }
                Some(index) => self.poll(index)?,
                None => {
                    if self.left == 0
                        && let Some(value) = output
                    {
                        return Ok(value);
                    }
                    if !self.clock.advance() {
                        let main = output.is_none().then(|| "main".to_owned());
                        let others = self.slots.iter().filter(|slot| slot.task.is_some());
                        let waiting = main.into_iter().chain(others.map(|slot| slot.name.clone()));
                        return Err(Stuck::Stalled { waiting: waiting.collect() });
                    }
                    polls = 0;
                    self.slots.iter_mut().for_each(|slot| slot.polls = 0);
                }
            }
        }
    }

    /// Takes in what was spawned.
    fn adopt(&mut self) {
        for (name, task) in lock(&self.spawner.new).drain(..) {
            let free = self.slots.iter().position(|slot| slot.task.is_none());
            let index = free.unwrap_or(self.slots.len());
            let flag = Flag { task: index, queued: AtomicBool::new(true), ready: Arc::clone(&self.ready) };
            let slot = Slot { name, task: Some(task), flag: Arc::new(flag), polls: 0 };
            // A late wake of the slot's last holder polls the new one once in vain, which is allowed.
            match free {
                Some(index) => self.slots[index] = slot,
                None => self.slots.push(slot),
            }
            lock(&self.ready).push(index);
            self.left += 1;
        }
    }

    fn pick(&mut self) -> Option<usize> {
        let mut ready = lock(&self.ready);
        let count = ready.len();
        (count > 0).then(|| ready.swap_remove(self.rng.usize(..count)))
    }

    fn poll(&mut self, index: usize) -> Result<(), Stuck> {
        let slot = &mut self.slots[index];
        let Some(task) = &mut slot.task else { return Ok(()) };
        slot.flag.queued.store(false, Ordering::Release);
        slot.polls += 1;
        self.polls += 1;
        if slot.polls > self.most_polls {
            return Err(Stuck::Busy { task: slot.name.clone(), polls: slot.polls });
        }
        let waker = Waker::from(Arc::clone(&slot.flag));
        if let Poll::Ready(()) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
            slot.task = None;
            self.left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_million_timers_are_cheap_and_in_order() {
        let clock = SimClock::new();
        let mut executor = SimExecutor::new(clock.clone(), 1);
        let end = executor.block_on(async move {
            let mut last = Duration::ZERO;
            let mut sleeps: Vec<_> =
                (0..100_000_u64).map(|i| clock.sleep(Duration::from_nanos(1 + i * 7919 % 100_000))).collect();
            for sleep in &mut sleeps {
                sleep.await;
                assert!(clock.now() >= last);
                last = clock.now();
            }
            clock.now()
        });
        assert_eq!(end, Ok(Duration::from_micros(100)));
    }

    #[test]
    fn a_stall_and_a_busy_loop_are_told() {
        let mut executor = SimExecutor::new(SimClock::new(), 1);
        assert_eq!(
            executor.block_on(pending::<()>()),
            Err(Stuck::Stalled { waiting: vec!["main".to_owned()] })
        );
        let mut executor = SimExecutor::new(SimClock::new(), 1);
        let stuck = executor.block_on(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        assert!(matches!(stuck, Err(Stuck::Busy { .. })), "{stuck:?}");
    }

    #[test]
    fn tasks_spawn_tasks() {
        let clock = SimClock::new();
        let mut executor = SimExecutor::new(clock.clone(), 1);
        let spawner = executor.spawner();
        let inner = clock.clone();
        let done = executor.block_on(async move {
            spawner.spawn("child", async move { inner.sleep(Duration::from_secs(3)).await });
        });
        assert_eq!((done, clock.now()), (Ok(()), Duration::from_secs(3)));
    }
}

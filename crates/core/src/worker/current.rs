//! Which element the current thread is working on.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::invoker::JobSpec;
use crate::raw::page::SharedPage;

/// What a task can know about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The job's unique name.
    pub job: String,
    /// The job's label.
    pub label: String,
    /// The element's position in the job's inputs, from 0.
    pub index: u64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When the element's time is up, where it is limited: by the job's time limit, or by how long the provider lets
    /// an invocation last.
    pub deadline: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Element {
    index: u64,
    attempt: u32,
    /// Nanoseconds of the monotonic clock.
    since: u64,
}

/// The page of this function process, where its supervisor says until when the invocation lasts.
static PAGE: OnceLock<&'static SharedPage> = OnceLock::new();

thread_local! {
    static JOB: RefCell<Option<Arc<JobSpec>>> = const { RefCell::new(None) };
    static ELEMENT: Cell<Option<Element>> = const { Cell::new(None) };
}

/// The element that the current thread is running. `None` outside of function processes, and on threads that a
/// task has started itself.
pub fn current() -> Option<TaskInfo> {
    let element = ELEMENT.get()?;
    JOB.with_borrow(|job| {
        let job = job.as_ref()?;
        let (clock, now) = (monotonic_nanos(), Instant::now());
        let own = job.task_timeout.map(|limit| nanos(limit).saturating_add(element.since));
        let invocation = PAGE.get().map(|page| page.deadline()).filter(|&deadline| deadline != 0);
        let end = [own, invocation].into_iter().flatten().min();
        Some(TaskInfo {
            job: job.id.clone(),
            label: job.label.clone(),
            index: element.index,
            attempt: element.attempt,
            deadline: end.and_then(|end| now.checked_add(Duration::from_nanos(end.saturating_sub(clock)))),
        })
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Says which page this function process shares with its supervisor.
pub(super) fn set_page(page: &'static SharedPage) {
    PAGE.get_or_init(|| page);
}

/// Says which job the current thread works for, until told otherwise.
pub(super) fn set_job(job: Option<&Arc<JobSpec>>) {
    JOB.with_borrow_mut(|current| *current = job.cloned());
}

/// Says which element the current thread is on.
#[inline]
pub(super) fn enter(index: u64, attempt: u32, since: u64) {
    ELEMENT.set(Some(Element { index, attempt, since }));
}

/// Says that the current thread is on no element.
#[inline]
pub(super) fn leave() {
    ELEMENT.set(None);
}

/// The monotonic clock that the supervisor reads as well, in nanoseconds.
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

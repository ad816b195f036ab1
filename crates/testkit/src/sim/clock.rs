//! Simulated time: it stands still while anything is ready, and then jumps to the next timer.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustwren_core::clock::{Clock, Sleep};

/// A clock that goes forward only when it is told to. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    timers: BinaryHeap<Reverse<Timer>>,
    next: u64,
    fired: u64,
}

/// What a sleeping future and the clock have in common.
#[derive(Debug, Default)]
struct Bell {
    rung: bool,
    dropped: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Timer {
    at: Duration,
    /// Timers of one moment ring in the order in which they were set.
    number: u64,
    bell: Arc<Mutex<Bell>>,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Timer {}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl SimClock {
    /// A clock that reads zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes to the next moment for which a timer is set and rings all timers of that moment. `false` when no timer
    /// is set; time does not change then.
    pub fn advance(&self) -> bool {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        let mut moment = None;
        while let Some(Reverse(timer)) = state.timers.peek() {
            if moment.is_some_and(|moment| timer.at > moment) {
                break;
            }
            let Some(Reverse(timer)) = state.timers.pop() else {
                break;
            };
            let mut bell = lock(&timer.bell);
            if bell.dropped {
                continue;
            }
            moment = Some(timer.at);
            bell.rung = true;
            wakers.extend(bell.waker.take());
            state.fired += 1;
        }
        if let Some(moment) = moment {
            state.now = state.now.max(moment);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        moment.is_some()
    }

    /// How many timers have rung so far.
    pub fn rung(&self) -> u64 {
        lock(&self.state).fired
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        lock(&self.state).now
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = lock(&self.state);
        let bell = Arc::new(Mutex::new(Bell { rung: duration.is_zero(), ..Bell::default() }));
        if !duration.is_zero() {
            let timer =
                Timer { at: state.now.saturating_add(duration), number: state.next, bell: Arc::clone(&bell) };
            state.next += 1;
            state.timers.push(Reverse(timer));
        }
        Box::pin(Nap { bell })
    }
}

/// Completes when its bell has rung.
struct Nap {
    bell: Arc<Mutex<Bell>>,
}

impl Future for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut bell = lock(&self.bell);
        if bell.rung {
            return Poll::Ready(());
        }
        bell.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        let mut bell = lock(&self.bell);
        bell.dropped = true;
        bell.waker = None;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(sleep: &mut Sleep) -> bool {
        sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn time_jumps_from_timer_to_timer() {
        let clock = SimClock::new();
        let mut late = clock.sleep(Duration::from_secs(100));
        let mut early = clock.sleep(Duration::from_secs(1));
        let dropped = clock.sleep(Duration::from_secs(50));
        assert!(!poll(&mut late) && !poll(&mut early) && poll(&mut clock.sleep(Duration::ZERO)));
        drop(dropped);
        assert!(clock.advance());
        assert_eq!(clock.now(), Duration::from_secs(1));
        assert!(poll(&mut early) && !poll(&mut late));
        assert!(clock.advance());
        assert_eq!((clock.now(), clock.rung()), (Duration::from_secs(100), 2));
        assert!(poll(&mut late) && !clock.advance());
    }
}

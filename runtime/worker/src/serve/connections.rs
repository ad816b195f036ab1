//! The connections that are open. When there is no room for one more, one that is idle goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What is known of a connection.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Calls under way.
    busy: AtomicUsize,
    /// A call of somebody with a secret came over it.
    trusted: AtomicBool,
    /// It is to be closed.
    close: Notify,
}

impl State {
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    pub(super) fn trust(&self) {
        self.trusted.store(true, Ordering::Relaxed);
    }

    /// Completes when the connection is to be closed.
    pub(super) async fn to_close(&self) {
        self.close.notified().await;
    }
}

/// A call that is under way, until dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<State>);

impl Busy {
    pub(super) fn new(state: &Arc<State>) -> Self {
        state.busy.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(state))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All of them, oldest first.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<Open>,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    states: BTreeMap<u64, Arc<State>>,
}

impl Connections {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default(), closed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more. If there is none left, the oldest is told to close that is idle and over which nobody
    /// with a secret has called, else the oldest that is idle; if all are busy, there is no place.
    pub(super) fn add(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.lock();
        if open.states.len() >= self.most {
            let idle = || open.states.iter().filter(|(_, state)| !state.is_busy());
            let strange = idle().find(|(_, state)| !state.trusted.load(Ordering::Relaxed));
            let key = strange.or_else(|| idle().next()).map(|(key, _)| *key)?;
            if let Some(state) = open.states.remove(&key) {
                state.close.notify_one();
            }
        }
        let key = open.next;
        open.next += 1;
        let state = Arc::new(State::default());
        open.states.insert(key, Arc::clone(&state));
        drop(open);
        Some(Place { connections: Arc::clone(self), key, state })
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.lock().states.len()
    }

    /// Waits until none is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// A connection's place, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    key: u64,
    pub(super) state: Arc<State>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().states.remove(&self.key);
        self.connections.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(connections: &Connections) -> Vec<u64> {
        connections.lock().states.keys().copied().collect()
    }

    #[test]
    fn strangers_that_are_idle_go_first_and_busy_ones_stay() {
        let connections = Arc::new(Connections::new(3));
        let places: Vec<_> = (0..3).map(|_| connections.add().unwrap()).collect();
        places[0].state.trust();
        let busy = Busy::new(&places[1].state);
        let fourth = connections.add().unwrap();
        assert_eq!(open(&connections), [0, 1, 3], "0 is trusted, 1 is busy");
        let busy_too = Busy::new(&fourth.state);
        let fifth = connections.add().unwrap();
        assert_eq!(open(&connections), [1, 3, 4]);
        let busy_as_well = Busy::new(&fifth.state);
        assert!(connections.add().is_none());
        drop((busy, busy_too, busy_as_well));
        drop(places);
        assert_eq!(open(&connections), [3, 4]);
    }

    #[tokio::test]
    async fn one_that_is_to_go_hears_of_it() {
        let connections = Arc::new(Connections::new(1));
        let first = connections.add().unwrap();
        let second = connections.add().unwrap();
        first.state.to_close().await;
        drop((first, second));
        connections.all_closed().await;
    }
}

//! Who may go on: places for calls, with a short wait for one that is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Calls that may wait for each place.
const WAITING: usize = 4;

/// A number of places.
#[derive(Debug)]
pub(super) struct Slots {
    places: Arc<Semaphore>,
    count: usize,
    wait: Duration,
    waiting: AtomicUsize,
}

impl Slots {
    /// So many places, and the longest wait for one.
    pub(super) fn new(count: usize, wait: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(count)), count, wait, waiting: AtomicUsize::new(0) }
    }

    /// A place, until what is returned is dropped. None when there is none within the time, or when as many wait as may.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        if self.wait.is_zero() {
            return None;
        }
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.count * WAITING {
            return None;
        }
        let place = timeout(self.wait, Arc::clone(&self.places).acquire_owned()).await;
        drop(waiting);
        place.ok()?.ok()
    }

    /// A place, however long that takes. None once none can be had any more.
    pub(super) async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.count.saturating_sub(self.places.available_permits())
    }

    /// How many calls wait for one.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Waits until none is taken; from then on none can be had.
    pub(super) async fn all_free(&self) {
        let all = u32::try_from(self.count).unwrap_or(u32::MAX);
        if let Ok(places) = self.places.acquire_many(all).await {
            places.forget();
        }
    }
}

/// Somebody who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn some_may_wait_and_the_rest_is_refused() {
        let slots = Slots::new(1, Duration::from_hours(1));
        let place = slots.take().await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(slots.take())).collect();
        for one in &mut waiting {
            assert!(poll(one.as_mut()).is_pending());
        }
        assert!(slots.take().await.is_none(), "as many wait as may");
        drop(waiting.pop());
        let mut next = pin!(slots.take());
        assert!(poll(next.as_mut()).is_pending(), "one has left");
        drop(place);
        let first = waiting.remove(0).await.unwrap();
        assert_eq!(slots.taken(), 1);
        drop(first);
    }

    #[tokio::test]
    async fn without_a_wait_there_is_an_answer_at_once() {
        let slots = Slots::new(2, Duration::ZERO);
        let both = (slots.take().await.unwrap(), slots.take().await.unwrap());
        assert!(slots.take().await.is_none());
        drop(both);
        slots.all_free().await;
        assert!(slots.take().await.is_none(), "none can be had any more");
    }
}

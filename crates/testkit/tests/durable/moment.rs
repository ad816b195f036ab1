//! Stopping a process at a chosen moment.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustwren_core::clock::Clock;

use crate::world::World;

/// A moment of a process, counted in its orders to the storage: number `2 n` is right before it sends order `n`, number
/// `2 n + 1` right before it gets the reply. There it stops, and goes on when it is let go, if ever.
#[derive(Debug, Clone, Default)]
pub struct Moment(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How many moments are before it; `None` when it has come or never does.
    left: Option<u64>,
    stopped: bool,
    wakers: Vec<Waker>,
}

impl Moment {
    /// The moment of this number.
    pub fn number(number: u64) -> Self {
        Self(Arc::new(Mutex::new(State { left: Some(number), ..State::default() })))
    }

    /// Makes it the moment after so many more.
    pub fn after(&self, more: u64) {
        self.lock().left = Some(more);
    }

    pub fn never() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process has come to it.
    pub fn has_come(&self) -> bool {
        self.lock().left.is_none()
    }

    /// Completes when the process has come to it.
    pub async fn comes(&self) {
        poll_fn(|cx| self.poll_unless(cx, |state| state.left.is_some())).await;
    }

    /// Completes when the process has come to it, or after so long: then it ends without.
    pub async fn comes_or(&self, world: &World, most: Duration) {
        let (comes, late) = (std::pin::pin!(self.comes()), world.clock.sleep(most));
        futures_util::future::select(comes, late).await;
    }

    /// Lets the process go on.
    pub fn let_go(&self) {
        let mut state = self.lock();
        state.stopped = false;
        state.wakers.drain(..).for_each(Waker::wake);
    }

    fn poll_unless(&self, cx: &Context<'_>, wait: impl FnOnce(&State) -> bool) -> Poll<()> {
        let mut state = self.lock();
        if wait(&state) {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Where the process may have to stop.
    pub(crate) async fn pass(&self) {
        {
            let mut state = self.lock();
            match &mut state.left {
                None => {}
                Some(0) => {
                    state.left = None;
                    state.stopped = true;
                    state.wakers.drain(..).for_each(Waker::wake);
                }
                Some(left) => *left -= 1,
            }
        }
        poll_fn(|cx| self.poll_unless(cx, |state| state.stopped)).await;
    }
}

/// A process all of which stops at a moment.
pub struct Stopping<F> {
    process: Pin<Box<F>>,
    moment: Moment,
}

impl<F> Stopping<F> {
    pub fn new(moment: &Moment, process: F) -> Self {
        Self { process: Box::pin(process), moment: moment.clone() }
    }
}

impl<F: Future> Future for Stopping<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.moment.poll_unless(cx, |state| state.stopped).is_pending() {
            return Poll::Pending;
        }
        self.process.as_mut().poll(cx)
    }
}

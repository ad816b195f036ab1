//! A job's deliveries in input order.

use std::collections::BTreeMap;
use std::task::{Context, Poll, ready};

use super::decode::Elements;
use crate::error::Result;
use crate::scheduler::outbox::Outbox;

/// Puts deliveries in order. What comes early waits, and weighs on the job's buffer while it does.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    early: BTreeMap<u64, Elements>,
    next: u64,
    ended: bool,
}

impl InOrder {
    /// The next elements; `None` after the last. An error is the job's end. Whoever is done with the elements
    /// releases their weight.
    pub(super) fn poll_next(&mut self, outbox: &Outbox, cx: &Context<'_>) -> Poll<Option<Result<Elements>>> {
        loop {
            if let Some(elements) = self.early.remove(&self.next) {
                self.next += u64::from(elements.left());
                return Poll::Ready(Some(Ok(elements)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(outbox.poll_next(cx)) {
                Some(Ok(delivery)) => {
                    let elements = Elements::new(delivery);
                    self.early.insert(elements.first(), elements);
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.early.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.ended = true,
            }
        }
    }
}

//! What the supervisor has sent and what has been taken up of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::outbox::{Outbox, lock};
use crate::protocol::message::Down;

/// The messages that wait for the task thread, and how far the running call has got.
#[derive(Debug, Default)]
pub(super) struct Control {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// The running call's next element in the low half, its end in the high half.
    claims: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Down>,
    running: Option<u64>,
    waiting: bool,
}

impl Control {
    /// Adds messages in order.
    pub(super) fn push(&self, messages: &mut Vec<Down>) {
        if messages.is_empty() {
            return;
        }
        let mut queue = lock(&self.queue);
        queue.messages.extend(messages.drain(..));
        let wake = queue.waiting;
        queue.waiting = false;
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    fn take(&self, queue: &mut Queue) -> Option<Down> {
        let message = queue.messages.pop_front();
        if let Some(Down::Run(run)) = &message {
            self.claims.store(u64::from(run.count) << 32, Ordering::Release);
            queue.running = Some(run.call);
        }
        message
    }

    /// The next message, if there is one.
    pub(super) fn try_next(&self) -> Option<Down> {
        self.take(&mut lock(&self.queue))
    }

    /// The next message, when it comes.
    pub(super) fn next(&self) -> Down {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(message) = self.take(&mut queue) {
                return message;
            }
            queue.waiting = true;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The call that runs now.
    pub(super) fn running(&self) -> Option<u64> {
        lock(&self.queue).running
    }

    /// The running call is over. After this, nothing of it is given back any more.
    #[inline]
    pub(super) fn finished(&self) {
        lock(&self.queue).running = None;
    }

    /// Takes the next element of the running call.
    #[inline]
    pub(super) fn claim(&self) -> Option<u32> {
        // The low half cannot run over into the high one: each of at most 64 threads claims once beyond the end,
        // and ends; an end is at most `u32::MAX - 64`, see `MAX_COUNT`.
        let claims = self.claims.fetch_add(1, Ordering::AcqRel);
        let (next, end) = (claims as u32, (claims >> 32) as u32);
        (next < end).then_some(next)
    }

    /// Gives back what has not been taken up of a call, and tells the supervisor so. A call that is over is none
    /// of its business.
    pub(super) fn hand_back(&self, call: u64, outbox: &Outbox) {
        let mut queue = lock(&self.queue);
        let position = queue
            .messages
            .iter()
            .position(|m| matches!(m, Down::Run(run) if run.call == call));
        if let Some(position) = position {
            queue.messages.remove(position);
            outbox.returned_whole(call);
        } else if queue.running == Some(call) {
            let mut claims = self.claims.load(Ordering::Acquire);
            loop {
                let (next, end) = (claims as u32, (claims >> 32) as u32);
                if next >= end {
                    break;
                }
                let cut = u64::from(next) << 32 | u64::from(next);
                match self
                    .claims
                    .compare_exchange_weak(claims, cut, Ordering::AcqRel, Ordering::Acquire)
                {
                    Ok(_) => {
                        outbox.returned(call, next);
                        break;
                    }
                    Err(now) => claims = now,
                }
            }
        }
    }
}

/// The most elements of one call.
pub(super) const MAX_COUNT: u32 = u32::MAX - 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::message::Run;

    fn run(call: u64, count: u32) -> Down {
        Down::Run(Run {
            call,
            job: 0,
            first: 0,
            attempt: 1,
            count,
            concurrency: 1,
            inputs: Bytes::new(),
        })
    }

    fn outbox() -> (Outbox, std::os::unix::net::UnixStream) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        (Outbox::new(ours.into()), theirs)
    }

    #[test]
    fn a_waiting_call_is_given_back_whole() {
        let (outbox, _peer) = outbox();
        let control = Control::default();
        control.push(&mut vec![run(1, 2), run(2, 2), run(3, 2)]);
        control.hand_back(2, &outbox);
        assert_ne!(outbox.oldest(), 0);
        assert_eq!(control.try_next(), Some(run(1, 2)));
        assert_eq!(control.next(), run(3, 2));
        assert_eq!(control.try_next(), None);
    }

    #[test]
    fn a_running_call_gives_back_what_was_not_claimed() {
        let (outbox, _peer) = outbox();
        let control = Control::default();
        control.push(&mut vec![run(1, 5)]);
        control.next();
        assert_eq!((control.claim(), control.claim()), (Some(0), Some(1)));
        control.hand_back(1, &outbox);
        assert_ne!(outbox.oldest(), 0);
        assert_eq!((control.claim(), control.claim()), (None, None));
    }

    #[test]
    fn a_call_that_is_over_is_left_alone() {
        let (outbox, _peer) = outbox();
        let control = Control::default();
        control.push(&mut vec![run(1, 1)]);
        control.next();
        control.hand_back(7, &outbox);
        assert_eq!(control.claim(), Some(0));
        control.hand_back(1, &outbox);
        control.finished();
        control.hand_back(1, &outbox);
        assert_eq!(outbox.oldest(), 0);
    }
}

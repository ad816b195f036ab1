//! Invocations that are over and have not brought all: what they still report is welcome.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::budget::Charge;

/// How many are remembered. What older ones report is dropped, and their elements are run again.
const MOST: usize = 4096;

/// Which elements an invocation was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) dispatched: Duration,
    /// How many of them it had brought nothing about.
    pub(super) left: u32,
    /// What of it counts as wasted.
    pub(super) wasted: Charge,
}

/// The invocations given up last.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    known: HashMap<u64, Past>,
    order: VecDeque<u64>,
}

impl GivenUp {
    pub(super) fn add(&mut self, id: u64, past: Past) {
        if self.known.insert(id, past).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<Past> {
        self.known.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_the_oldest() {
        let mut given_up = GivenUp::default();
        let past = |id| Past {
            first: id * 10,
            count: 10,
            dispatched: Duration::ZERO,
            left: 10,
            wasted: Charge::default(),
        };
        (0..MOST as u64 + 5).for_each(|id| given_up.add(id, past(id)));
        assert_eq!(given_up.get(4), None);
        assert_eq!(given_up.get(5), Some(past(5)));
        assert_eq!(given_up.known.len(), MOST);
    }
}

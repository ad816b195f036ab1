//! Nonces that were seen, as long as a call that carries one of them could still be accepted.

use std::collections::{BTreeMap, HashSet};

/// Remembers nonces by the second that their calls were signed in, in bounded memory: some 50 bytes for each.
#[derive(Debug)]
pub(super) struct Nonces {
    seen: BTreeMap<u64, HashSet<[u8; 16]>>,
    len: usize,
    most: usize,
    /// Calls signed before this second are not accepted any more.
    floor: u64,
}

impl Nonces {
    /// Room for so many; at least 1.
    pub(super) fn new(most: usize) -> Self {
        Self { seen: BTreeMap::new(), len: 0, most: most.max(1), floor: 0 }
    }

    /// Takes note of a call signed at `time`, where calls signed before `oldest` are not accepted. Whether it is new.
    ///
    /// When there is no room, the oldest are forgotten and calls as old as they were are not accepted either: what is
    /// forgotten can never be repeated.
    pub(super) fn is_new(&mut self, time: u64, nonce: [u8; 16], oldest: u64) -> bool {
        self.raise(oldest);
        if time < self.floor || !self.seen.entry(time).or_default().insert(nonce) {
            return false;
        }
        self.len += 1;
        while self.len > self.most
            && let Some(first) = self.seen.keys().next().copied()
        {
            self.raise(first + 1);
        }
        true
    }

    fn raise(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        let kept = self.seen.split_off(&floor);
        let gone = std::mem::replace(&mut self.seen, kept);
        self.len -= gone.values().map(HashSet::len).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(k: u8) -> [u8; 16] {
        [k; 16]
    }

    #[test]
    fn a_nonce_is_new_once() {
        let mut nonces = Nonces::new(100);
        assert!(nonces.is_new(10, nonce(1), 5));
        assert!(!nonces.is_new(10, nonce(1), 5));
        assert!(nonces.is_new(10, nonce(2), 5) && nonces.is_new(11, nonce(1), 5));
        assert!(!nonces.is_new(4, nonce(3), 5), "too old");
        assert!(nonces.is_new(20, nonce(4), 15));
        assert_eq!((nonces.len, nonces.seen.len()), (1, 1), "old ones are forgotten");
        assert!(!nonces.is_new(10, nonce(1), 5), "and not accepted, should the clock go back");
    }

    #[test]
    fn what_is_forgotten_for_want_of_room_is_not_accepted_again() {
        let mut nonces = Nonces::new(10);
        for k in 0..100 {
            assert!(nonces.is_new(u64::from(k) / 4, nonce(k), 0));
            assert!(nonces.len <= 10);
        }
        for k in 0..100 {
            assert!(!nonces.is_new(u64::from(k) / 4, nonce(k), 0), "{k}");
        }
    }
}

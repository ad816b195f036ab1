//! Which elements of a job are finished: delivered, failed for good, or cancelled.

use std::collections::BTreeMap;

/// A set of element indexes that is nearly always a prefix: a count, and ranges beyond it. It takes memory for the
/// gaps between finished elements, of which there are no more than elements under way or waiting.
#[derive(Debug, Default)]
pub(super) struct Done {
    prefix: u64,
    /// Start to end of ranges, disjoint, not touching each other, all beyond `prefix`.
    beyond: BTreeMap<u64, u64>,
    /// One more than the largest index in it.
    end: u64,
}

impl Done {
    /// Whether the element is in it.
    pub(super) fn contains(&self, index: u64) -> bool {
        index < self.prefix || !self.is_clear(index, index + 1)
    }

    /// Whether no element of `start..end` is in it.
    pub(super) fn is_clear(&self, start: u64, end: u64) -> bool {
        // New elements lie behind all finished ones.
        if start >= self.end || start >= end {
            return true;
        }
        start >= self.prefix && self.beyond.range(..end).next_back().is_none_or(|(_, &to)| to <= start)
    }

    /// Whether every element of `start..end` is in it.
    pub(super) fn covers(&self, start: u64, end: u64) -> bool {
        self.missing(start, end).next().is_none()
    }

    /// The parts of `start..end` that are not in it, in order.
    pub(super) fn missing(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = start.max(self.prefix);
        // The range that begins before `at` may reach into it.
        if let Some((_, &to)) = self.beyond.range(..=at).next_back() {
            at = at.max(to);
        }
        let mut ranges = self.beyond.range(at..end.max(at));
        std::iter::from_fn(move || {
            while at < end {
                match ranges.next() {
                    Some((&from, &to)) if from == at => at = to,
                    Some((&from, &to)) => {
                        let gap = (at, from);
                        at = to;
                        return Some(gap);
                    }
                    None => {
                        let gap = (at, end);
                        at = end;
                        return Some(gap);
                    }
                }
            }
            None
        })
    }

    /// Adds `start..end`.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        self.end = self.end.max(end);
        let (mut from, mut to) = (start, end);
        if start > self.prefix {
            if let Some((&before, &until)) = self.beyond.range(..=start).next_back()
                && until >= start
            {
                from = before;
                to = to.max(until);
            }
        } else {
            from = self.prefix;
            to = to.max(self.prefix);
        }
        // What it touches or covers becomes a part of it.
        while let Some((&next, &until)) = self.beyond.range(start..=to).next() {
            to = to.max(until);
            self.beyond.remove(&next);
        }
        if from <= self.prefix {
            self.prefix = to;
        } else {
            self.beyond.insert(from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(adds in prop::collection::vec((0_u64..60, 0_u64..20), 0..30)) {
            let mut done = Done::default();
            let mut model = BTreeSet::new();
            for (start, count) in adds {
                done.add(start, start + count);
                model.extend(start..start + count);
                prop_assert!((0..85).all(|index| done.contains(index) == model.contains(&index)));
            }
            for from in 0..85 {
                for to in from..85 {
                    let expected: Vec<u64> = (from..to).filter(|i| !model.contains(i)).collect();
                    let missing: Vec<u64> = done.missing(from, to).flat_map(|(a, b)| a..b).collect();
                    prop_assert_eq!(done.covers(from, to), expected.is_empty());
                    prop_assert_eq!(done.is_clear(from, to), expected.len() as u64 == to - from);
                    prop_assert_eq!(missing, expected);
                }
            }
        }
    }

    #[test]
    fn elements_that_finish_in_another_order_join_up() {
        let mut done = Done::default();
        (0..1000).rev().for_each(|index| done.add(index, index + 1));
        assert_eq!((done.prefix, done.beyond.len()), (1000, 0));
    }
}

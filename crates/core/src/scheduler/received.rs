//! Which elements of an invocation have been dealt with.

/// A set of element offsets that is nearly always a prefix: a count, and what lies beyond it.
#[derive(Debug, Default)]
pub(super) struct Received {
    prefix: u32,
    /// Sorted, disjoint, not touching each other, all beyond `prefix`.
    beyond: Vec<(u32, u32)>,
}

impl Received {
    /// Adds `offset..offset + count`; hands back which parts of it are new, in order.
    pub(super) fn add(&mut self, offset: u32, count: u32) -> Vec<(u32, u32)> {
        let (start, end) = (offset, offset + count);
        if start == self.prefix && self.beyond.is_empty() {
            self.prefix = end;
            return if count > 0 { vec![(start, end)] } else { Vec::new() };
        }
        let new: Vec<(u32, u32)> = self.gaps(start, end).collect();
        for &(from, to) in &new {
            let at = self.beyond.partition_point(|&(s, _)| s < from);
            self.beyond.insert(at, (from, to));
        }
        self.join();
        new
    }

    /// The parts of `start..end` that are missing.
    pub(super) fn gaps(&self, start: u32, end: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut at = start.max(self.prefix);
        let mut ranges = self.beyond.iter().skip_while(move |&&(_, to)| to <= start);
        std::iter::from_fn(move || {
            while at < end {
                match ranges.next() {
                    Some(&(from, to)) if from <= at => at = at.max(to),
                    Some(&(from, to)) => {
                        let gap = (at, from.min(end));
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

    /// How many elements are in it.
    pub(super) fn count(&self) -> u32 {
        self.prefix + self.beyond.iter().map(|(from, to)| to - from).sum::<u32>()
    }

    fn join(&mut self) {
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(self.beyond.len());
        for &(from, to) in &self.beyond {
            if from <= self.prefix {
                self.prefix = self.prefix.max(to);
                continue;
            }
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        self.beyond = joined;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(adds in prop::collection::vec((0_u32..60, 0_u32..20), 0..30)) {
            let mut received = Received::default();
            let mut model = BTreeSet::new();
            for (offset, count) in adds {
                let expected: Vec<u32> = (offset..offset + count).filter(|i| !model.contains(i)).collect();
                let new: Vec<u32> = received.add(offset, count).into_iter().flat_map(|(a, b)| a..b).collect();
                prop_assert_eq!(new, expected);
                model.extend(offset..offset + count);
                prop_assert_eq!(received.count() as usize, model.len());
                let gaps: Vec<u32> = received.gaps(0, 80).flat_map(|(a, b)| a..b).collect();
                prop_assert_eq!(gaps, (0..80).filter(|i| !model.contains(i)).collect::<Vec<_>>());
            }
        }
    }
}

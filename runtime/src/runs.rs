//! Sets of elements that come in runs.

/// Which elements have a result. Those of a piece come in order, or nearly so, so they are a few runs at any time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Runs {
    /// Sorted, not empty, and not touching each other.
    runs: Vec<(u32, u32)>,
}

impl Runs {
    /// Adds the elements from `start` to before `end`, of which there is at least one. Not if any of them is in it
    /// already: then it stays as it is, and this is `false`.
    pub(crate) fn add(&mut self, start: u32, end: u32) -> bool {
        // In order, the last run grows.
        let at = match self.runs.last() {
            Some(&(_, last)) if last > start => self.runs.partition_point(|&(_, end)| end <= start),
            _ => self.runs.len(),
        };
        let behind = self.runs.get(at).copied();
        if behind.is_some_and(|(next, _)| next < end) {
            return false;
        }
        let joins_before = at.checked_sub(1).filter(|&before| self.runs[before].1 == start);
        match (joins_before, behind.filter(|(next, _)| *next == end)) {
            (Some(before), Some((_, end))) => {
                self.runs[before].1 = end;
                self.runs.remove(at);
            }
            (Some(before), None) => self.runs[before].1 = end,
            (None, Some(_)) => self.runs[at].0 = start,
            (None, None) => self.runs.insert(at, (start, end)),
        }
        true
    }

    pub(crate) fn contains(&self, element: u32) -> bool {
        let at = self.runs.partition_point(|&(_, end)| end <= element);
        self.runs.get(at).is_some_and(|&(start, _)| start <= element)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The end of the last run, 0 if there is none.
    pub(crate) fn end(&self) -> u32 {
        self.runs.last().map_or(0, |&(_, end)| end)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.runs.iter().map(|(start, end)| end - start).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_that_takes_each_element_once(adds in prop::collection::vec((0_u32..50, 1_u32..8), 0..40)) {
            let (mut runs, mut model) = (Runs::default(), BTreeSet::new());
            for (start, count) in adds {
                let new = (start..start + count).all(|element| !model.contains(&element));
                prop_assert_eq!(runs.add(start, start + count), new);
                if new {
                    model.extend(start..start + count);
                }
                prop_assert_eq!((runs.len() as usize, runs.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(runs.end(), model.last().map_or(0, |last| last + 1));
                for element in 0..60 {
                    prop_assert_eq!(runs.contains(element), model.contains(&element));
                }
                prop_assert!(runs.runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", runs);
            }
        }
    }
}

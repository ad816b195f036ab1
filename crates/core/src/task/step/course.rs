//! What running items through steps gives, as an output that others than the two ends can read: who passes it on may
//! leave large items in storage.

use std::time::Duration;

use super::Items;
use crate::failure::TaskFailure;
use crate::protocol::records::{get_varint, input_bodies, put_varint};
use crate::protocol::references::{Place, Referred};
use crate::worker;

/// What came of running items through steps: what they gave, and what each step took.
///
/// As an output it is written as: twice the number of steps, one more if the records are
/// [referring ones](crate::protocol::references); for each step its time in nanoseconds and the number of items that it
/// gave; a number that stands for the process; the records. All numbers are LEB128.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Course {
    /// Time and items of each step.
    pub steps: Vec<(Duration, u32)>,
    /// Stands for the process that ran them.
    pub worker: u32,
    /// Whether the items' records are referring ones.
    pub refers: bool,
    /// What the last step gave.
    pub items: Items,
}

impl Course {
    pub(super) fn step(&mut self, took: Duration, given: Items) {
        self.steps.push((took, given.count));
        self.items = given;
    }

    #[expect(clippy::unnecessary_wraps, reason = "what runs tasks expects it")]
    pub(super) fn write(mut self, out: &mut Vec<u8>) -> Result<(), TaskFailure> {
        self.worker = worker::number();
        self.write_head(out);
        out.extend_from_slice(&self.items.records);
        Ok(())
    }

    /// All but the records.
    fn write_head(&self, out: &mut Vec<u8>) {
        put_varint(out, (self.steps.len() as u64) << 1 | u64::from(self.refers));
        for (took, count) in &self.steps {
            put_varint(out, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            put_varint(out, u64::from(*count));
        }
        put_varint(out, u64::from(self.worker));
    }

    /// Reads an output: the course without its records, and where they begin. An empty output, of an element that
    /// was in a list with others, has no steps. `None` for anything else.
    pub fn read(output: &[u8]) -> Option<(Self, usize)> {
        let mut course = Self::default();
        if output.is_empty() {
            return Some((course, 0));
        }
        let mut at = 0;
        let mut number = || {
            let (value, len) = get_varint(output.get(at..)?)?;
            at += len;
            Some(value)
        };
        let head = number()?;
        course.refers = head & 1 == 1;
        for _ in 0..head >> 1 {
            let took = Duration::from_nanos(number()?);
            course.steps.push((took, u32::try_from(number()?).ok()?));
        }
        course.worker = u32::try_from(number()?).ok()?;
        course.items.count = course.steps.last().map_or(0, |(_, count)| *count);
        Some((course, at))
    }

    /// An output with its items of more than `above` bytes lifted out: `store` takes such an item's encoding and says
    /// where in the object `key` it will be. `None` where the output has none of these, or is no course.
    pub fn lift(
        output: &[u8],
        above: u64,
        key: &str,
        mut store: impl FnMut(&[u8]) -> u64,
    ) -> Option<Vec<u8>> {
        let (mut course, at) = Self::read(output)?;
        let is_long = |item: &[u8]| item.len() as u64 > above;
        if course.refers || !input_bodies(&output[at..]).any(|item| item.is_ok_and(is_long)) {
            return None;
        }
        // Looked at in full before anything is stored of it.
        let items = input_bodies(&output[at..]).collect::<Result<Vec<&[u8]>, _>>().ok()?;
        course.refers = true;
        let mut out = Vec::new();
        course.write_head(&mut out);
        for item in items {
            let referred = if is_long(item) {
                Referred::Stored(Place { key, offset: store(item), len: item.len() as u64 })
            } else {
                Referred::Here(item)
            };
            referred.append(&mut out);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::records::append_input;

    fn items(bodies: &[Vec<u8>]) -> Items {
        let mut items = Items::default();
        for body in bodies {
            append_input(&mut items.records, |out| {
                out.extend_from_slice(body);
                Ok::<(), ()>(())
            })
            .unwrap();
            items.count += 1;
        }
        items
    }

    #[test]
    fn outputs_are_read_as_they_were_written() {
        let items = Items { records: vec![1, 9, 1, 8], count: 2 };
        let steps = vec![(Duration::from_millis(3), 5), (Duration::from_secs(9), 2)];
        let course = Course { steps: steps.clone(), items, ..Course::default() };
        let mut out = Vec::new();
        course.write(&mut out).unwrap();
        let (read, at) = Course::read(&out).unwrap();
        assert_eq!((read.steps, read.items.count, &out[at..]), (steps, 2, &[1, 9, 1, 8][..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((_, at)) = Course::read(&bytes) {
                prop_assert!(at <= bytes.len());
            }
            drop(Course::lift(&bytes, 3, "key", |_| 0));
        }

        #[test]
        fn long_items_are_lifted_and_nothing_else_changes(
            lens in prop::collection::vec(0_usize..20, 0..10),
            above in 0_u64..20,
        ) {
            let all: Vec<Vec<u8>> = lens.iter().enumerate().map(|(k, len)| vec![k as u8; *len]).collect();
            let steps = vec![(Duration::from_millis(3), all.len() as u32)];
            let mut output = Vec::new();
            Course { steps: steps.clone(), items: items(&all), ..Course::default() }.write(&mut output).unwrap();
            let mut object = Vec::new();
            let lifted = Course::lift(&output, above, "key", |item| {
                object.extend_from_slice(item);
                (object.len() - item.len()) as u64
            });
            let Some(lifted) = lifted else {
                prop_assert!(all.iter().all(|item| item.len() as u64 <= above));
                return Ok(());
            };
            prop_assert_eq!(Course::lift(&lifted, 0, "key", |_| 0), None, "it is lifted once");
            let (course, at) = Course::read(&lifted).unwrap();
            prop_assert_eq!((course.steps, course.refers), (steps, true));
            let mut came = Vec::new();
            for body in input_bodies(&lifted[at..]) {
                came.push(match Referred::read(body.unwrap()).unwrap() {
                    Referred::Here(item) => {
                        prop_assert!(item.len() as u64 <= above);
                        item.to_vec()
                    }
                    Referred::Stored(Place { key, offset, len }) => {
                        prop_assert!(len > above && key == "key");
                        object[offset as usize..(offset + len) as usize].to_vec()
                    }
                });
            }
            prop_assert_eq!(came, all);
        }
    }
}

//! Where encoded inputs come from, and how chunks are cut out of them.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::Error;
use crate::protocol::records::{Malformed, split_input};
use crate::protocol::references::Referred;

/// Some consecutive elements, encoded.
#[derive(Debug, Clone)]
pub struct Block {
    /// How many.
    pub count: u32,
    /// As many input records; none at all if what became of every one of them is known, so that nobody needs them.
    pub bytes: Bytes,
}

impl Block {
    /// A block whose elements need no work.
    pub fn finished(count: u32) -> Self {
        Self { count, bytes: Bytes::new() }
    }

    /// Whether its elements need no work. Every record takes at least one byte.
    pub fn is_finished(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Encoded inputs of a job, in order.
pub trait InputSource: Send {
    /// The next elements; `None` at the end. Never an empty block. Registers the waker when there is nothing yet.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>>;

    /// How many elements are still to come from `poll_next`, where that is known.
    fn remaining(&self) -> Option<u64>;
}

/// A source whose blocks are all there.
#[derive(Debug)]
pub struct Ready {
    blocks: VecDeque<Block>,
}

impl Ready {
    /// A source of these blocks.
    pub fn new(blocks: impl IntoIterator<Item = Block>) -> Self {
        Self { blocks: blocks.into_iter().filter(|block| block.count > 0).collect() }
    }
}

impl InputSource for Ready {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>> {
        Poll::Ready(self.blocks.pop_front().map(Ok))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.blocks.iter().map(|block| u64::from(block.count)).sum())
    }
}

/// Blocks that were taken from the source and wait to be cut into chunks. Between them may be gaps: elements that need
/// no work.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Whether the records are referring ones: what they refer to counts as well, since a worker has to hold it.
    refers: bool,
    blocks: VecDeque<Waiting>,
    elements: u64,
    bytes: usize,
    end: u64,
}

/// A block, or what is left of it.
#[derive(Debug)]
struct Waiting {
    /// The index of its first element.
    first: u64,
    block: Block,
    /// Bytes of its elements, wherever they are.
    weight: usize,
}

/// Consecutive elements cut out of the backlog.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) inputs: Vec<Bytes>,
}

impl Backlog {
    /// An empty one, for records that may be referring ones.
    pub(super) fn new(refers: bool) -> Self {
        Self { refers, ..Self::default() }
    }

    pub(super) fn push(&mut self, block: Block) {
        let first = self.end;
        // Records that cannot be read are found out when they are cut.
        let weight = if self.refers {
            measure(&block.bytes, block.count, usize::MAX, true, true).map_or(0, |measured| measured.weight)
        } else {
            block.bytes.len()
        };
        self.end += u64::from(block.count);
        self.elements += u64::from(block.count);
        self.bytes += weight;
        self.blocks.push_back(Waiting { first, block, weight });
    }

    /// Leaves a gap: elements that need no work.
    pub(super) fn skip(&mut self, count: u32) {
        self.end += u64::from(count);
    }

    /// The runs of elements waiting, each as its first and how many it has.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.blocks.iter().map(|waiting| (waiting.first, waiting.block.count))
    }

    /// Elements waiting.
    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Bytes waiting.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The index that the next element read from the source will have.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Cuts up to `most` elements of together up to `most_bytes` off the front, but at least one if there is
    /// any.
    pub(super) fn cut(&mut self, most: u32, most_bytes: usize) -> Result<Option<Cut>, Malformed> {
        let mut cut = Cut {
            first: self.blocks.front().map_or(self.end, |waiting| waiting.first),
            count: 0,
            inputs: Vec::new(),
        };
        let mut room = most_bytes;
        while cut.count < most {
            let Some(Waiting { first, block, weight }) = self.blocks.front_mut() else {
                break;
            };
            if *first != cut.first + u64::from(cut.count) {
                break;
            }
            let wanted = most - cut.count;
            let part = if block.count <= wanted && *weight <= room {
                Measured { count: block.count, len: block.bytes.len(), weight: *weight }
            } else {
                measure(&block.bytes, wanted.min(block.count), room, cut.count == 0, self.refers)?
            };
            if part.count == 0 {
                break;
            }
            room -= part.weight.min(room);
            cut.count += part.count;
            self.bytes = self.bytes.saturating_sub(part.weight);
            if part.count == block.count {
                cut.inputs.extend(self.blocks.pop_front().map(|waiting| waiting.block.bytes));
            } else {
                *first += u64::from(part.count);
                *weight = weight.saturating_sub(part.weight);
                block.count -= part.count;
                cut.inputs.push(block.bytes.split_to(part.len));
            }
        }
        self.elements -= u64::from(cut.count);
        Ok((cut.count > 0).then_some(cut))
    }
}

/// Some records at the front of a block.
struct Measured {
    count: u32,
    /// Their bytes.
    len: usize,
    /// Bytes of what they stand for.
    weight: usize,
}

/// How many records at the front of `bytes`, up to `most`, fit `room` bytes, and how many bytes they are. With
/// `at_least_one` the first counts even if it does not fit. Where they are referring ones, what they refer to counts.
fn measure(
    bytes: &[u8],
    most: u32,
    room: usize,
    at_least_one: bool,
    refers: bool,
) -> Result<Measured, Malformed> {
    let mut measured = Measured { count: 0, len: 0, weight: 0 };
    while measured.count < most {
        let (body, record) = split_input(&bytes[measured.len..])?;
        let weight = if refers { weight_of(body) } else { record };
        let whole = measured.weight.saturating_add(weight);
        if whole > room && !(at_least_one && measured.count == 0) {
            break;
        }
        measured.count += 1;
        measured.len += record;
        measured.weight = whole;
    }
    Ok(measured)
}

fn weight_of(body: &[u8]) -> usize {
    usize::try_from(Referred::len_of(body)).unwrap_or(usize::MAX)
}

/// Cuts `count` records from record number `from` on out of a rope of records.
pub(super) fn slice(rope: &[Bytes], from: u32, count: u32) -> Result<Vec<Bytes>, Malformed> {
    let (mut skip, mut take) = (from, count);
    let mut out = Vec::new();
    for part in rope {
        let mut at = 0;
        while skip > 0 && at < part.len() {
            at += split_input(&part[at..])?.1;
            skip -= 1;
        }
        let start = at;
        while take > 0 && at < part.len() {
            at += split_input(&part[at..])?.1;
            take -= 1;
        }
        if at > start {
            out.push(part.slice(start..at));
        }
        if take == 0 {
            return Ok(out);
        }
    }
    Err(Malformed("fewer inputs than counted"))
}

/// Cuts a rope of records behind the first `count`, which are no more than it has.
pub(super) fn split(rope: &[Bytes], count: u32) -> Result<(Vec<Bytes>, Vec<Bytes>), Malformed> {
    let mut take = count;
    for (place, part) in rope.iter().enumerate() {
        let mut at = 0;
        while take > 0 && at < part.len() {
            at += split_input(&part[at..])?.1;
            take -= 1;
        }
        if take == 0 {
            let mut front = rope[..place].to_vec();
            front.push(part.slice(..at));
            let mut rest = vec![part.slice(at..)];
            rest.extend_from_slice(&rope[place + 1..]);
            rest.retain(|part| !part.is_empty());
            return Ok((front, rest));
        }
    }
    Err(Malformed("fewer inputs than counted"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::records::append_input;

    fn block(bodies: &[Vec<u8>]) -> Block {
        let mut bytes = Vec::new();
        for body in bodies {
            append_input(&mut bytes, |out| {
                out.extend_from_slice(body);
                Ok::<_, ()>(())
            })
            .unwrap();
        }
        Block { count: bodies.len() as u32, bytes: bytes.into() }
    }

    fn bodies(rope: &[Bytes]) -> Vec<Vec<u8>> {
        let flat = rope.concat();
        let (mut at, mut out) = (0, Vec::new());
        while at < flat.len() {
            let (body, n) = split_input(&flat[at..]).unwrap();
            out.push(body.to_vec());
            at += n;
        }
        out
    }

    proptest! {
        #[test]
        fn cuts_lose_nothing_and_keep_order_and_places(
            blocks in prop::collection::vec((
                0_u32..3, prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20),
            ), 0..8),
            cuts in prop::collection::vec((1_u32..30, 1_usize..200), 1..20),
        ) {
            let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
            let mut backlog = Backlog::default();
            for (gap, b) in &blocks {
                backlog.skip(*gap);
                all.extend((backlog.end()..).zip(b.iter().cloned()));
                backlog.push(block(b));
            }
            let mut got = Vec::new();
            let mut sizes = cuts.iter().cycle();
            while let Some(cut) = { let (n, b) = sizes.next().unwrap(); backlog.cut(*n, *b).unwrap() } {
                let part = bodies(&cut.inputs);
                prop_assert_eq!(part.len(), cut.count as usize);
                for from in 0..cut.count {
                    let rest = slice(&cut.inputs, from, cut.count - from).unwrap();
                    prop_assert_eq!(&bodies(&rest)[..], &part[from as usize..]);
                    let (front, rest) = super::split(&cut.inputs, from + 1).unwrap();
                    prop_assert_eq!(&bodies(&front)[..], &part[..=from as usize]);
                    prop_assert_eq!(&bodies(&rest)[..], &part[from as usize + 1..]);
                }
                got.extend((cut.first..).zip(part));
            }
            prop_assert_eq!(got, all);
            prop_assert_eq!((backlog.elements(), backlog.bytes()), (0, 0));
        }
    }

    #[test]
    fn a_cut_respects_its_byte_limit_but_takes_at_least_one() {
        let mut backlog = Backlog::default();
        backlog.push(block(&[vec![0; 10], vec![0; 10], vec![0; 100]]));
        assert_eq!(backlog.cut(9, 22).unwrap().unwrap().count, 2);
        assert_eq!(backlog.cut(9, 22).unwrap().unwrap().count, 1);
        assert!(backlog.cut(9, 22).unwrap().is_none());
    }
}

//! Inputs as they travel: pieces of memory whose concatenation is a run of input records.

use bytes::Bytes;

/// Cuts the first `elements` records off. `None` if there are not so many.
pub(crate) fn split_front(rope: &mut Vec<Bytes>, elements: u32) -> Option<Vec<Bytes>> {
    let (part, offset) = position(rope, elements)?;
    let mut tail = rope.split_off(part);
    if let Some(first) = tail.first_mut()
        && offset > 0
    {
        rope.push(first.split_to(offset));
    }
    tail.retain(|part| !part.is_empty());
    Some(std::mem::replace(rope, tail))
}

/// Where the record after the first `elements` ones begins.
fn position(rope: &[Bytes], elements: u32) -> Option<(usize, usize)> {
    let (mut part, mut offset) = (0, 0);
    for _ in 0..elements {
        let (mut len, mut shift) = (0_u64, 0);
        loop {
            while rope.get(part)?.len() == offset {
                (part, offset) = (part + 1, 0);
            }
            let byte = rope[part][offset];
            offset += 1;
            if shift > 63 {
                return None;
            }
            len |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut len = usize::try_from(len).ok()?;
        while len > rope.get(part).map_or(0, |p| p.len() - offset) {
            len -= rope.get(part)?.len() - offset;
            (part, offset) = (part + 1, 0);
        }
        offset += len;
    }
    Some((part, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(bytes: &[u8], cut: usize) -> Vec<Bytes> {
        bytes.chunks(cut).map(Bytes::copy_from_slice).collect()
    }

    #[test]
    fn records_are_cut_wherever_the_parts_end() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for len in [0_usize, 1, 5, 300, 0, 2] {
            rustwren_core::protocol::records::put_varint(&mut bytes, len as u64);
            bytes.extend(std::iter::repeat_n(len as u8, len));
            ends.push(bytes.len());
        }
        for cut in 1..=bytes.len() {
            for (elements, &end) in ends.iter().enumerate() {
                let mut tail = rope(&bytes, cut);
                let head = split_front(&mut tail, elements as u32).unwrap();
                assert_eq!(head.concat(), &bytes[..end], "cut {cut}, {elements} elements");
                assert_eq!(tail.concat(), &bytes[end..], "cut {cut}, {elements} elements");
            }
            assert_eq!(split_front(&mut rope(&bytes, cut), ends.len() as u32), None);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert_eq!(split_front(&mut rope(&[5, 1, 2], 2), 1), None);
        assert_eq!(split_front(&mut rope(&[0xff; 20], 3), 1), None);
    }
}

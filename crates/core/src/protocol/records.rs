//! Inputs and results of elements, laid out so that any run of them can be cut out without decoding them.
//!
//! An **input record** is a LEB128 length followed by that many bytes: the bincode of the element.
//!
//! A **result record** is a LEB128 header `len << 2 | tag` followed by `len` bytes. Tag 0: the bincode of the
//! output. Tag 1: the bincode of a [`TaskFailure`](crate::failure::TaskFailure). Tag 2: the bincode of a
//! [`Payload::Stored`](crate::invoker::Payload) that holds the bincode of the output. Tag 3 is not used.

use std::fmt;

/// Longest LEB128 of a `u64`.
const MAX_VARINT: usize = 10;

/// Bytes that are not the records they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed record: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Appends a LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a LEB128 number: its value and how many bytes it took. `None` when the bytes end inside it or it
/// does not fit 64 bits.
#[inline]
pub fn get_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (i, &byte) in bytes.iter().enumerate().take(MAX_VARINT) {
        let part = u64::from(byte & 0x7f);
        if i == MAX_VARINT - 1 && part > 1 {
            return None;
        }
        value |= part << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

/// What a result record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultTag {
    /// The encoded output.
    Output,
    /// An encoded [`TaskFailure`](crate::failure::TaskFailure).
    Failure,
    /// An encoded [`Payload`](crate::invoker::Payload) that holds the encoded output.
    Stored,
}

/// Appends one record whose body `encode` writes. The header is made to fit afterwards; if `encode` fails,
/// `out` is as before.
#[inline]
fn append_with<E>(
    out: &mut Vec<u8>,
    header: impl Fn(u64) -> u64,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    // Most records are shorter than 32 bytes: leave one byte for the header and move the body if it needs more.
    let start = out.len();
    out.push(0);
    if let Err(error) = encode(out) {
        out.truncate(start);
        return Err(error);
    }
    let value = header((out.len() - start - 1) as u64);
    if value < 0x80 {
        out[start] = value as u8;
    } else {
        let mut bytes = [0_u8; MAX_VARINT];
        let mut n = 0;
        let mut rest = value;
        while rest >= 0x80 {
            bytes[n] = rest as u8 | 0x80;
            rest >>= 7;
            n += 1;
        }
        bytes[n] = rest as u8;
        out.splice(start..=start, bytes[..=n].iter().copied());
    }
    Ok(())
}

/// Appends an input record whose body `encode` writes; on an error `out` is as before.
#[inline]
pub fn append_input<E>(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    append_with(out, |len| len, encode)
}

/// Appends a result record whose body `encode` writes; on an error `out` is as before.
#[inline]
pub fn append_result<E>(
    out: &mut Vec<u8>,
    tag: ResultTag,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let tag = match tag {
        ResultTag::Output => 0,
        ResultTag::Failure => 1,
        ResultTag::Stored => 2,
    };
    append_with(out, |len| len << 2 | tag, encode)
}

/// Splits the first input record off: its body and the bytes it takes in all.
#[inline]
pub fn split_input(bytes: &[u8]) -> Result<(&[u8], usize), Malformed> {
    let (len, head) = get_varint(bytes).ok_or(Malformed("no input length"))?;
    let end = usize::try_from(len).ok().and_then(|len| head.checked_add(len));
    let end = end.filter(|&end| end <= bytes.len()).ok_or(Malformed("input ends early"))?;
    Ok((&bytes[head..end], end))
}

/// The bodies of input records, up to the first that is none.
pub fn input_bodies(mut records: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    std::iter::from_fn(move || {
        if records.is_empty() {
            return None;
        }
        let split = split_input(records);
        records = split.as_ref().map_or(&[], |(_, len)| &records[*len..]);
        Some(split.map(|(body, _)| body))
    })
}

/// Splits the first result record off: its tag, its body and the bytes it takes in all.
#[inline]
pub fn split_result(bytes: &[u8]) -> Result<(ResultTag, &[u8], usize), Malformed> {
    let (header, head) = get_varint(bytes).ok_or(Malformed("no result header"))?;
    let tag = match header & 3 {
        0 => ResultTag::Output,
        1 => ResultTag::Failure,
        2 => ResultTag::Stored,
        _ => return Err(Malformed("unknown result tag")),
    };
    let end = usize::try_from(header >> 2).ok().and_then(|len| head.checked_add(len));
    let end = end.filter(|&end| end <= bytes.len()).ok_or(Malformed("result ends early"))?;
    Ok((tag, &bytes[head..end], end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(bytes: &[u8]) -> impl FnOnce(&mut Vec<u8>) -> Result<(), ()> + '_ {
        |out| {
            out.extend_from_slice(bytes);
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64, rest: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let len = out.len();
            out.extend(rest);
            prop_assert_eq!(get_varint(&out), Some((value, len)));
        }

        #[test]
        fn records_come_back(bodies: Vec<Vec<u8>>) {
            let (mut inputs, mut results) = (Vec::new(), Vec::new());
            for b in &bodies {
                append_input(&mut inputs, body(b)).unwrap();
                append_result(&mut results, ResultTag::Failure, body(b)).unwrap();
            }
            let (mut i, mut r) = (&inputs[..], &results[..]);
            for b in &bodies {
                let (got, n) = split_input(i).unwrap();
                prop_assert_eq!(got, &b[..]);
                i = &i[n..];
                let (tag, got, n) = split_result(r).unwrap();
                prop_assert_eq!((tag, got), (ResultTag::Failure, &b[..]));
                r = &r[n..];
            }
            prop_assert!(i.is_empty() && r.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = get_varint(&bytes);
            if let Ok((got, n)) = split_input(&bytes) {
                prop_assert!(got.len() < n && n <= bytes.len());
            }
            if let Ok((_, got, n)) = split_result(&bytes) {
                prop_assert!(got.len() < n && n <= bytes.len());
            }
        }
    }

    #[test]
    fn a_failed_encoding_leaves_no_trace() {
        let mut out = vec![7];
        let failed = append_input(&mut out, |out| {
            out.push(1);
            Err("no")
        });
        assert_eq!((failed, out), (Err("no"), vec![7]));
    }
}

//! Inputs and results of elements, laid out so that any run of them can be cut out without decoding them.
//!
//! An **input record** is a LEB128 length followed by that many bytes: the bincode of the element.
//!
//! A **result record** is a LEB128 header `len << 2 | tag` followed by `len` bytes. Tag 0: the bincode of the
//! output. Tag 1: the bincode of a [`TaskFailure`](crate::failure::TaskFailure). Tag 2: the bincode of a
//! [`Payload::Stored`](crate::invoker::Payload) that holds the bincode of the output.
//!
//! A **list** of elements that were worked on as one has one result, which counts as its first element's; those of the
//! others are empty. Nobody may take a part of it: the others would be run again, as another list, and be there twice. So
//! its records stand behind a header `count << 2 | 3`, and all of them count as one that cannot be cut.

use std::fmt;

/// Longest LEB128 of a `u64`.
const MAX_VARINT: usize = 10;
/// The record of an output without bytes.
const EMPTY: u8 = 0;

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

/// Appends the results of `count` elements that were worked on as one: the result of all, which `encode` writes, and
/// empty ones. Those of one element are an ordinary record. On an error `out` is as before.
pub fn append_list<E>(
    out: &mut Vec<u8>,
    count: u32,
    tag: ResultTag,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    if count > 1 {
        put_varint(out, u64::from(count) << 2 | 3);
    }
    if let Err(error) = append_result(out, tag, encode) {
        out.truncate(start);
        return Err(error);
    }
    out.resize(out.len() + count.saturating_sub(1) as usize, EMPTY);
    Ok(())
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

/// The result of one element, or of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Together<'a> {
    /// How many elements it is the result of.
    pub count: u32,
    /// What `body` is.
    pub tag: ResultTag,
    /// The result.
    pub body: &'a [u8],
    /// Where the elements' own records begin: behind a list's header.
    pub head: usize,
    /// The bytes that it takes in all.
    pub len: usize,
}

/// Splits the first result off, of an element or of a list.
#[inline]
pub fn split_together(bytes: &[u8]) -> Result<Together<'_>, Malformed> {
    match bytes.first() {
        Some(first) if first & 3 == 3 => split_list(bytes),
        _ => split_result(bytes).map(|(tag, body, len)| Together { count: 1, tag, body, head: 0, len }),
    }
}

fn split_list(bytes: &[u8]) -> Result<Together<'_>, Malformed> {
    let (header, head) = get_varint(bytes).ok_or(Malformed("no list header"))?;
    let count = u32::try_from(header >> 2).ok().filter(|&count| count > 1);
    let count = count.ok_or(Malformed("a list of no number of elements"))?;
    let (tag, body, len) = split_result(&bytes[head..])?;
    if tag == ResultTag::Failure {
        return Err(Malformed("a list that failed as one"));
    }
    let end = (head + len).checked_add(count as usize - 1);
    let end = end.filter(|&end| end <= bytes.len()).ok_or(Malformed("list ends early"))?;
    if bytes[head + len..end].iter().any(|&record| record != EMPTY) {
        return Err(Malformed("a list with more than one result"));
    }
    Ok(Together { count, tag, body, head, len: end })
}

/// Splits the first result record off: its tag, its body and the bytes it takes in all. Whoever may meet lists asks
/// [`split_together`].
#[inline]
pub fn split_result(bytes: &[u8]) -> Result<(ResultTag, &[u8], usize), Malformed> {
    let (header, head) = get_varint(bytes).ok_or(Malformed("no result header"))?;
    let tag = match header & 3 {
        0 => ResultTag::Output,
        1 => ResultTag::Failure,
        2 => ResultTag::Stored,
        _ => return Err(Malformed("a list where one element's result was expected")),
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
        fn lists_come_back_whole_or_not_at_all(b: Vec<u8>, count in 1_u32..2000, stored: bool, rest: Vec<u8>) {
            let tag = if stored { ResultTag::Stored } else { ResultTag::Output };
            let mut out = Vec::new();
            append_list(&mut out, count, tag, body(&b)).unwrap();
            let len = out.len();
            for cut in 0..len {
                prop_assert!(split_together(&out[..cut]).is_err());
            }
            out.extend(rest);
            let got = split_together(&out).unwrap();
            prop_assert_eq!((got.count, got.tag, got.body, got.len), (count, tag, &b[..], len));
            prop_assert_eq!(split_result(&out).is_ok(), count == 1);
            // Without the header they are as many ordinary records.
            let mut records = &out[got.head..len];
            for k in 0..count {
                let (tag_of, body_of, n) = split_result(records).unwrap();
                let expected = if k == 0 { (tag, &b[..]) } else { (ResultTag::Output, &[][..]) };
                prop_assert_eq!((tag_of, body_of), expected);
                records = &records[n..];
            }
            prop_assert!(records.is_empty());
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
            if let Ok(Together { count, body, head, len, .. }) = split_together(&bytes) {
                prop_assert!(count > 0 && head + body.len() + (count as usize) <= len && len <= bytes.len());
            }
        }
    }

    #[test]
    fn a_failed_encoding_leaves_no_trace() {
        let fail = |out: &mut Vec<u8>| {
            out.push(1);
            Err("no")
        };
        let mut out = vec![7];
        assert_eq!(append_input(&mut out, fail), Err("no"));
        assert_eq!(append_list(&mut out, 300, ResultTag::Output, fail), Err("no"));
        assert_eq!(out, [7]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let mut failed = Vec::new();
        append_list(&mut failed, 2, ResultTag::Failure, body(b"no")).unwrap();
        for bytes in [&failed[..], &[3, 0], &[7, 0], &[11, 0, 4, 1], &[11, 11, 0, 0]] {
            assert!(split_together(bytes).is_err(), "{bytes:?}");
        }
    }
}

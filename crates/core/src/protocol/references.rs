//! Inputs that are somewhere else: where a job takes another's outputs and these lie in storage, its input records say
//! where.
//!
//! The body of a **referring input record** is a byte and what follows it: 0 and the encoded input itself, or 1, the
//! place's offset and length as LEB128 numbers and the object's key. Whether a job's records are referring ones is said by
//! [`Passing::refers`](crate::invoker::Passing::refers). They are cut, counted and kept like any others; the worker's
//! side puts the inputs in their places before a function process sees them.

use super::records::{Malformed, append_input, get_varint, put_varint};

const HERE: u8 = 0;
const STORED: u8 = 1;

/// A byte range of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The object's key.
    pub key: &'a str,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// The body of a referring input record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referred<'a> {
    /// The encoded input.
    Here(&'a [u8]),
    /// Where the encoded input is.
    Stored(Place<'a>),
}

impl<'a> Referred<'a> {
    /// Reads the body of a referring input record.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&kind, rest) = body.split_first().ok_or(Malformed("a reference has no bytes"))?;
        if kind == HERE {
            return Ok(Self::Here(rest));
        }
        let number = |rest: &'a [u8]| {
            let (value, len) = get_varint(rest).ok_or(Malformed("a reference ends early"))?;
            Ok((value, &rest[len..]))
        };
        let (offset, rest) = number(rest)?;
        let (len, rest) = number(rest)?;
        match std::str::from_utf8(rest) {
            Ok(key) if kind == STORED => Ok(Self::Stored(Place { key, offset, len })),
            _ => Err(Malformed("a reference of no known kind")),
        }
    }

    /// How many bytes the input has, wherever it is. What cannot be read is as long as it is.
    pub fn len_of(body: &'a [u8]) -> u64 {
        match Self::read(body) {
            Ok(Self::Here(input)) => input.len() as u64,
            Ok(Self::Stored(place)) => place.len,
            Err(_) => body.len() as u64,
        }
    }

    /// Appends it as a record.
    pub fn append(&self, out: &mut Vec<u8>) {
        let written = append_input(out, |out| {
            match self {
                Self::Here(input) => {
                    out.push(HERE);
                    out.extend_from_slice(input);
                }
                Self::Stored(Place { key, offset, len }) => {
                    out.push(STORED);
                    put_varint(out, *offset);
                    put_varint(out, *len);
                    out.extend_from_slice(key.as_bytes());
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match written {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::records::split_input;
    use super::*;

    proptest! {
        #[test]
        fn references_come_back(input: Vec<u8>, key in ".{0,30}", offset: u64, len: u64) {
            let place = Place { key: &key, offset, len };
            for (referred, expected) in [(Referred::Here(&input), input.len() as u64), (Referred::Stored(place), len)] {
                let mut record = Vec::new();
                referred.append(&mut record);
                let (body, end) = split_input(&record).unwrap();
                prop_assert_eq!(end, record.len());
                prop_assert_eq!(Referred::read(body), Ok(referred));
                prop_assert_eq!(Referred::len_of(body), expected);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if Referred::read(&bytes).is_err() {
                prop_assert_eq!(Referred::len_of(&bytes), bytes.len() as u64);
            }
        }
    }
}

//! How values become bytes: bincode, in one place.
//!
//! Decoding takes any bytes: it neither panics, nor accepts trailing bytes, nor lets a length written in the
//! bytes make it allocate more than a small multiple of what is there.

use std::fmt;

use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that has no encoding, or bytes that are not the encoding of the value asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError(String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

struct Sink<'a>(&'a mut Vec<u8>);

impl Writer for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends a value's encoding. On an error (a map or sequence of unknown length, a value whose `Serialize` fails)
/// a part of it may have been appended.
#[inline]
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    bincode::serde::encode_into_writer(value, Sink(out), bincode::config::standard())
        .map_err(|error| CodecError(encoding(error)))
}

/// What stands in the way of an encoding. What a `Serialize` says for itself is passed on as it is.
#[cold]
fn encoding(error: EncodeError) -> String {
    match error {
        EncodeError::OtherString(text) => text,
        EncodeError::Other(text) => text.to_owned(),
        other => other.to_string(),
    }
}

/// What stands in the way of a decoding.
#[cold]
fn decoding(error: DecodeError) -> String {
    match error {
        DecodeError::OtherString(text) => text,
        DecodeError::Other(text) => text.to_owned(),
        DecodeError::UnexpectedEnd { .. } => "they end too early".to_owned(),
        other => other.to_string(),
    }
}

/// A value's encoding.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    encode(value, &mut out)?;
    Ok(out)
}

// bincode's limit counts the memory that numbers and buffers take, which is at most 16 times what they take
// encoded (a `u128` in one byte). It is a constant of the configuration, so there are few classes: each is one
// more copy of the decoder of every type.
const SMALL: usize = 4 << 10;
const MEDIUM: usize = 4 << 20;
const EXPANSION: usize = 16;

/// Reads a value from exactly these bytes.
#[inline]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let standard = bincode::config::standard();
    let decoded = if bytes.len() <= SMALL {
        decode_with(bytes, standard.with_limit::<{ SMALL * EXPANSION }>())
    } else if bytes.len() <= MEDIUM {
        decode_with(bytes, standard.with_limit::<{ MEDIUM * EXPANSION }>())
    } else {
        decode_with(bytes, standard.with_limit::<{ (1 << 30) * EXPANSION }>())
    };
    match decoded {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok((_, read)) => Err(CodecError(format!("{} bytes are left over", bytes.len() - read))),
        Err(error) => Err(CodecError(decoding(error))),
    }
}

#[inline]
fn decode_with<T: DeserializeOwned, C: bincode::config::Config>(
    bytes: &[u8],
    config: C,
) -> Result<(T, usize), DecodeError> {
    bincode::serde::decode_from_slice(bytes, config)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        numbers: Vec<u128>,
        pairs: std::collections::BTreeMap<String, Option<i64>>,
        raw: Vec<u8>,
        unit: (),
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let pairs = proptest::collection::btree_map(".{0,4}", any::<Option<i64>>(), 0..5);
        (".{0,9}", any::<Vec<u128>>(), pairs, any::<Vec<u8>>())
            .prop_map(|(name, numbers, pairs, raw)| Sample { name, numbers, pairs, raw, unit: () })
    }

    proptest! {
        #[test]
        fn values_come_back(value in sample()) {
            let bytes = to_vec(&value).unwrap();
            prop_assert_eq!(decode::<Sample>(&bytes), Ok(value));
        }

        #[test]
        fn trailing_bytes_are_refused(value in sample(), extra in proptest::collection::vec(any::<u8>(), 1..9)) {
            let mut bytes = to_vec(&value).unwrap();
            bytes.extend(extra);
            prop_assert!(decode::<Sample>(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = decode::<Sample>(&bytes);
            let _ = decode::<String>(&bytes);
            let _ = decode::<crate::failure::TaskFailure>(&bytes);
            let _ = decode::<crate::invoker::JobSpec>(&bytes);
            let _ = decode::<crate::invoker::Payload>(&bytes);
            let _ = decode::<crate::entry::Entry>(&bytes);
        }

        #[test]
        fn bytes_that_were_changed_are_read_without_panic(
            value in sample(), at: proptest::sample::Index, byte: u8, cut: proptest::sample::Index,
        ) {
            let mut bytes = to_vec(&value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode::<Sample>(&bytes);
            let _ = decode::<Sample>(&bytes[..cut.index(bytes.len())]);
        }
    }

    #[test]
    fn a_lying_length_is_refused_before_it_is_allocated() {
        // 0xfd: a u64 follows. A string and a list of 2^62 bytes.
        let mut bytes = vec![0xfd];
        bytes.extend((1_u64 << 62).to_le_bytes());
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<Vec<u8>>(&bytes).is_err());
        assert!(decode::<Vec<u64>>(&bytes).is_err());
    }

    #[test]
    fn each_limit_holds_the_most_that_its_bytes_can_mean() {
        for count in [SMALL - 8, SMALL, MEDIUM - 8, MEDIUM + 1] {
            let ones = vec![1_u64; count];
            assert_eq!(decode::<Vec<u64>>(&to_vec(&ones).unwrap()).as_ref(), Ok(&ones));
        }
        let wide = vec![1_u128; SMALL - 9];
        assert_eq!(decode::<Vec<u128>>(&to_vec(&wide).unwrap()), Ok(wide));
    }
}

//! The rules of [`get_range`](super::Storage::get_range), in one place for every implementation.

use std::ops::Range;

use super::{Key, StorageResult};
use crate::error::{BackendError, ErrorClass};

/// The part of an object of `size` bytes that `range` names: cut at the object's end, `0..0` for an empty
/// range. A range that starts after the end is [`Invalid`](ErrorClass::Invalid).
pub fn cut_range(key: &Key, range: &Range<u64>, size: u64) -> StorageResult<Range<u64>> {
    if range.is_empty() {
        return Ok(0..0);
    }
    if range.start > size {
        return Err(BackendError::new(
            ErrorClass::Invalid,
            format!(
                "range {}..{} starts after the end of object {key}, which has {size} bytes",
                range.start, range.end
            ),
        ));
    }
    Ok(range.start..range.end.min(size))
}

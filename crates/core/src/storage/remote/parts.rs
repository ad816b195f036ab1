//! How what is large is cut.

use std::ops::Range;

use crate::config::Settings;
use crate::error::Result;

/// More than this does not fit into most workers.
const LARGEST: u64 = 1 << 30;

/// How large objects travel, as `[storage]` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Bytes in one part. Objects larger than two are written in parts, those larger than one are read in parts.
    pub size: u64,
    /// Parts of one object under way at once; at least 1.
    pub parallel: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self { size: 8 << 20, parallel: 8 }
    }
}

impl Parts {
    /// Reads and checks the settings `part_size`, from so many bytes (whole KiB) to 1 GiB, and `parallel`; errors name the
    /// place.
    pub fn from_settings(settings: &Settings, smallest: u64) -> Result<Self> {
        let Self { size, parallel } = Self::default();
        let size = settings.get_size("part_size")?.unwrap_or(size);
        if !(smallest..=LARGEST).contains(&size) {
            let smallest = if smallest < 1 << 20 {
                format!("{}KiB", smallest >> 10)
            } else {
                format!("{}MiB", smallest >> 20)
            };
            return Err(settings.error("part_size", format!("must be from {smallest} to 1GiB")));
        }
        let parallel = settings.get_u64("parallel")?.map_or(parallel, |parallel| parallel as usize);
        Ok(Self { size, parallel })
    }
}

/// The ranges of so many bytes in parts of such a size; of larger ones where there would be more than `most`.
pub fn parts(len: u64, part_size: u64, most: u64) -> impl Iterator<Item = Range<u64>> {
    let size = part_size.max(len.div_ceil(most));
    let count = len.div_ceil(size).min(most);
    (0..count).map(move |i| i * size..len.min((i + 1) * size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_cover_everything_once(
            len in 1..u64::MAX >> 20,
            part_size in 1_u64..1 << 30,
            most in 1_u64..50_000,
        ) {
            let mut end = 0;
            let mut count = 0;
            for range in parts(len, part_size, most) {
                count += 1;
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start);
                end = range.end;
            }
            prop_assert_eq!(end, len);
            prop_assert!(count <= most);
        }
    }
}

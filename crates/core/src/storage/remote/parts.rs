//! How what is large is cut.

use std::ops::Range;

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

//! Durations and sizes as people write them: `1m30s`, `250ms`, `512MB`, `1GiB`.
//!
//! Both are exact: whole numbers with units, no fractions, so that what is written is what is meant and every
//! value prints as text that reads back as the same value.

use std::time::Duration;

/// The forms that durations take, for messages.
pub(crate) const DURATION_FORM: &str = r#"a duration such as "90s", "1m30s" or "250ms""#;
/// The forms that sizes take, for messages.
pub(crate) const SIZE_FORM: &str = r#"a size such as "512MB" or "1GiB""#;

const DURATION_UNITS: &[(&str, u128)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: &[(&str, u128)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a duration: one or more whole numbers with a unit each (`d`, `h`, `m`, `s`, `ms`, `us`, `ns`), largest
/// unit first, each unit at most once. The error says what is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut total: u128 = 0;
    let mut smallest = u128::MAX;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !rest.is_empty() {
        let (number, unit, tail) = number_and_unit(rest)?;
        let scale = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale)
            .ok_or_else(|| unit_error(unit, number, "d, h, m, s, ms, us, ns"))?;
        if scale >= smallest {
            return Err("its units must go from large to small, each once".to_owned());
        }
        smallest = scale;
        total = number
            .checked_mul(scale)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| "it is too long".to_owned())?;
        rest = tail.trim_start();
    }
    let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| "it is too long".to_owned())?;
    Ok(Duration::new(seconds, (total % 1_000_000_000) as u32))
}

/// Writes a duration so that [`parse_duration`] reads it back unchanged.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut parts = Vec::new();
    for (unit, scale) in DURATION_UNITS {
        if rest >= *scale {
            parts.push(format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    parts.concat()
}

/// Reads a size: a whole number with a unit (`B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`; in either
/// case). `MB` is a million bytes, `MiB` is 2^20. The error says what is wrong with it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let (number, unit, tail) = number_and_unit(text)?;
    let scale = SIZE_UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, scale)| *scale)
        .ok_or_else(|| unit_error(unit, number, "B, kB, KiB, MB, MiB, GB, GiB, TB, TiB"))?;
    if !tail.is_empty() {
        return Err(format!("there is {tail:?} after its unit"));
    }
    number
        .checked_mul(scale)
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| "it is too large".to_owned())
}

/// Writes a size so that [`parse_size`] reads it back unchanged: in the largest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    let (unit, scale) = SIZE_UNITS
        .iter()
        .find(|(_, scale)| bytes > 0 && u128::from(bytes) % scale == 0)
        .copied()
        .unwrap_or(("B", 1));
    format!("{}{unit}", u128::from(bytes) / scale)
}

/// Splits `90s rest` into 90, `s` and ` rest`.
fn number_and_unit(text: &str) -> Result<(u128, &str, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        let found: String = text.chars().take_while(|c| !c.is_ascii_digit()).take(12).collect();
        return Err(format!("a whole number is expected where it has {found:?}"));
    }
    if rest.starts_with('.') {
        return Err("fractions are not allowed; use a smaller unit".to_owned());
    }
    let number = number.parse().map_err(|_| "its number is too large".to_owned())?;
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(letters);
    Ok((number, unit, tail))
}

fn unit_error(unit: &str, number: u128, known: &str) -> String {
    if unit.is_empty() {
        format!("{number} has no unit (one of {known})")
    } else {
        format!("{unit:?} is no unit (one of {known})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read() {
        for (text, millis) in [
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("1h 5m", 3_900_000),
            ("0s", 0),
            (" 2d ", 172_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn wrong_durations_say_why() {
        for (text, why) in [
            ("", "empty"),
            ("90", "has no unit"),
            ("s", "whole number"),
            ("-1s", "whole number"),
            ("1.5s", "fractions"),
            ("1 fortnight", "\"fortnight\" is no unit"),
            ("1s1m", "large to small"),
            ("1s1s", "large to small"),
            ("999999999999999999999999d", "too long"),
            ("9999999999999999999999999999999999999999999s", "too large"),
            ("1s,", "whole number"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_read() {
        for (text, bytes) in [
            ("512MB", 512_000_000),
            ("1GiB", 1 << 30),
            ("1 gib", 1 << 30),
            ("0B", 0),
            ("8mib", 8 << 20),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn wrong_sizes_say_why() {
        for (text, why) in [
            ("", "empty"),
            ("512", "has no unit"),
            ("1.5GB", "fractions"),
            ("1 parsec", "\"parsec\" is no unit"),
            ("1MB2", "after its unit"),
            ("18446744073709551616B", "too large"),
            ("999999999TiB", "too large"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn durations_round_trip(seconds: u64, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_round_trip(bytes: u64, shift in 0u32..64) {
            for bytes in [bytes, bytes >> shift, (bytes >> shift) << shift] {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            }
            if let Ok(bytes) = parse_size(&text) {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            }
        }
    }
}

//! Durations, sizes, shares and amounts as people write them: `1m30s`, `250ms`, `512MB`, `1GiB`, `2%`, `2.5`.
//!
//! Durations and sizes are exact: whole numbers with units, no fractions, so that what is written is what is meant and every
//! value prints as text that reads back as the same value.

use std::time::Duration;

use crate::price::Usd;

/// The forms that durations take, for messages.
pub(crate) const DURATION_FORM: &str = r#"a duration such as "90s", "1m30s" or "250ms""#;
/// The forms that sizes take, for messages.
pub(crate) const SIZE_FORM: &str = r#"a size such as "512MB" or "1GiB""#;

/// The forms that ranges of durations take, for messages.
pub(crate) const RANGE_FORM: &str = r#"a range of durations such as "60ms..300ms", or one duration"#;
/// The forms that shares take, for messages.
pub(crate) const SHARE_FORM: &str = r#"a share such as "2%" or "0.5%""#;

/// The forms that amounts of money take, for messages.
pub(crate) const USD_FORM: &str = "an amount of dollars such as 2.5";
/// Larger ones are taken for mistakes; up to here every amount reads back as it was written.
const MOST_DOLLARS: f64 = 9e6;

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

/// Reads an amount of dollars, to the nearest billionth of one. The error says what is wrong with it.
pub fn parse_usd(text: &str) -> Result<Usd, String> {
    // TOML allows these between digits.
    let text = text.trim().replace('_', "");
    let dollars: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if dollars > MOST_DOLLARS {
        return Err("it is more than nine million".to_owned());
    }
    if let Some(amount) = plain_decimal(&text) {
        return Ok(amount);
    }
    Usd::from_dollars(dollars).ok_or_else(|| "it is less than nothing, or not a number".to_owned())
}

/// An amount written as digits with at most nine behind the point, to the last of them: a floating-point number of
/// millions of dollars has no room for nano-dollars.
fn plain_decimal(text: &str) -> Option<Usd> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (whole, part): (u64, u64) = (whole.parse().ok()?, format!("{part:0<9}").parse().ok()?);
    Some(Usd::from_nanos(whole.checked_mul(1_000_000_000)?.checked_add(part)?))
}

/// Writes an amount of dollars so that [`parse_usd`] reads it back unchanged.
pub fn format_usd(amount: Usd) -> String {
    let (whole, part) = (amount.nanos() / 1_000_000_000, amount.nanos() % 1_000_000_000);
    let part = format!("{part:09}");
    let part = part.trim_end_matches('0');
    format!("{whole}.{}", if part.is_empty() { "0" } else { part })
}

/// Reads a range of durations: two of them with `..` between, the shorter first, or one that is both ends. The error
/// says what is wrong with it.
pub fn parse_range(text: &str) -> Result<(Duration, Duration), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (parse_duration(least)?, parse_duration(most)?);
    if least > most {
        return Err("the shorter one comes first".to_owned());
    }
    Ok((least, most))
}

/// Writes a range of durations so that [`parse_range`] reads it back unchanged.
pub fn format_range(least: Duration, most: Duration) -> String {
    if least == most {
        return format_duration(least);
    }
    format!("{}..{}", format_duration(least), format_duration(most))
}

/// Reads a share of a whole, a percentage with up to four digits after the point (`2%`, `0.25%`), as parts of a
/// million. The error says what is wrong with it.
pub fn parse_share(text: &str) -> Result<u32, String> {
    const DIGITS: usize = 4;
    let number = text.trim().strip_suffix('%').ok_or_else(|| "it has no % at its end".to_owned())?.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if [whole, part].iter().any(|digits| digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit())) {
        return Err(format!("{number:?} is no number"));
    }
    if part.len() > DIGITS {
        return Err(format!("it has more than {DIGITS} digits after the point"));
    }
    let too_much = || "it is more than 100%".to_owned();
    let whole: u32 = whole.parse().map_err(|_| too_much())?;
    let part: u32 = format!("{part:0<DIGITS$}").parse().map_err(|_| too_much())?;
    if whole > 100 || whole == 100 && part > 0 {
        return Err(too_much());
    }
    Ok(whole * 10_000 + part)
}

/// Writes a share of so many parts of a million so that [`parse_share`] reads it back unchanged.
pub fn format_share(parts: u32) -> String {
    let (whole, part) = (parts / 10_000, parts % 10_000);
    if part == 0 {
        return format!("{whole}%");
    }
    let digits = format!("{part:04}");
    format!("{whole}.{}%", digits.trim_end_matches('0'))
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
    fn amounts_read() {
        for (text, nanos) in
            [("2.5", 2_500_000_000), ("1_000", 1_000_000_000_000), ("1.6e-5", 16_000), ("0", 0)]
        {
            assert_eq!(parse_usd(text), Ok(Usd::from_nanos(nanos)), "{text}");
        }
        // Found by the property test below.
        assert_eq!(parse_usd("8565465.677952916"), Ok(Usd::from_nanos(8_565_465_677_952_916)));
        for (text, why) in [
            ("", "not a number"),
            ("-1", "less than nothing"),
            ("inf", "nine million"),
            ("$1", "not a number"),
        ] {
            let error = parse_usd(text).unwrap_err();
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

    #[test]
    fn ranges_and_shares_read() {
        const MS: Duration = Duration::from_millis(1);
        for (text, ends) in [("60ms..300ms", (60, 300)), ("1s .. 1m", (1_000, 60_000)), ("5ms", (5, 5))] {
            assert_eq!(parse_range(text), Ok((ends.0 * MS, ends.1 * MS)), "{text}");
        }
        for (text, parts) in [
            ("2%", 20_000),
            ("0.25 %", 2_500),
            ("100%", 1_000_000),
            ("00.0001%", 1),
            ("0%", 0),
            (" 7%", 70_000),
        ] {
            assert_eq!(parse_share(text), Ok(parts), "{text}");
        }
    }

    #[test]
    fn wrong_ranges_and_shares_say_why() {
        for (text, why) in
            [("2s..1s", "comes first"), ("..", "empty"), ("1s..", "empty"), ("1..2s", "no unit")]
        {
            assert!(parse_range(text).unwrap_err().contains(why), "{text}");
        }
        for (text, why) in [
            ("2", "no %"),
            ("", "no %"),
            ("%", "is no number"),
            ("-1%", "is no number"),
            ("1.%", "is no number"),
            ("1e1%", "is no number"),
            ("101%", "more than 100%"),
            ("100.1%", "more than 100%"),
            ("99999999999999999999%", "more than 100%"),
            ("0.00001%", "more than 4 digits"),
        ] {
            let error = parse_share(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn ranges_and_shares_round_trip(least: u64, longer: u32, parts in 0..=1_000_000_u32) {
            let ends = (Duration::from_nanos(least), Duration::from_nanos(least.saturating_add(longer.into())));
            prop_assert_eq!(parse_range(&format_range(ends.0, ends.1)), Ok(ends));
            prop_assert_eq!(parse_share(&format_share(parts)), Ok(parts));
        }

        #[test]
        fn amounts_round_trip(nanos in 0..=9_000_000_000_000_000_u64) {
            let amount = Usd::from_nanos(nanos);
            prop_assert_eq!(parse_usd(&format_usd(amount)), Ok(amount));
        }

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
            if let Ok((least, most)) = parse_range(&text) {
                prop_assert_eq!(parse_range(&format_range(least, most)), Ok((least, most)));
            }
            if let Ok(parts) = parse_share(&text) {
                prop_assert_eq!(parse_share(&format_share(parts)), Ok(parts));
            }
        }
    }
}

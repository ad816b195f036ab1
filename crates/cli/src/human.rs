//! Numbers as people read them.

use std::time::Duration;

/// `4,213,000`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 task`, `1,200 tasks`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `512 B`, `4.2 kB`, `17 MB`: two digits or three, powers of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    for (i, unit) in UNITS.iter().enumerate() {
        // What would be shown as 1000 belongs to the next unit.
        if value < 999.5 || i + 1 == UNITS.len() {
            return if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{bytes} B")
}

/// `3 s`, `12 min`, `5 h`, `9 d`: the largest unit that fits, rounded down, for ages.
pub(crate) fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `350 µs`, `4.2 ms`, `1.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: for how long something took.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        return format!("{:.0} µs", seconds * 1e6);
    }
    if seconds < 0.9995 {
        return if seconds < 0.01 {
            format!("{:.1} ms", seconds * 1e3)
        } else {
            format!("{:.0} ms", seconds * 1e3)
        };
    }
    if seconds < 59.95 {
        return if seconds < 9.95 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") };
    }
    let seconds = seconds.round() as u64;
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..172_800 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// `$0.00042`, `$1.37`: two digits that count, cents at least.
pub(crate) fn dollars(usd: f64) -> String {
    if usd == 0.0 {
        return "$0".to_owned();
    }
    if usd.abs() >= 0.1 {
        return format!("${usd:.2}");
    }
    let places = (1.0 - usd.abs().log10().floor()).clamp(2.0, 9.0) as usize;
    format!("${usd:.places$}")
}

/// `2026-11-22 21:55:21 UTC` of seconds since 1970.
pub(crate) fn date(unix_seconds: u64) -> String {
    let (days, rest) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Days since 1 March of the year 0 of the proleptic Gregorian calendar: leap days come last in a year that
    // begins in March, so months have fixed places.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_groups() {
        let shown: Vec<_> = [0, 7, 999, 1_000, 12_345, 1_234_567].map(count).into();
        assert_eq!(shown, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!((counted(1, "task"), counted(0, "task")), ("1 task".to_owned(), "0 tasks".to_owned()));
    }

    #[test]
    fn bytes_have_units() {
        let shown: Vec<_> =
            [0, 999, 1_000, 4_200, 9_949, 9_951, 999_499, 999_500, 17_000_000, u64::MAX].map(bytes).into();
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.0 kB", "4.2 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "17 MB", "18 EB"]
        );
    }

    #[test]
    fn times_are_short() {
        let ages: Vec<_> =
            [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(|s| age(Duration::from_secs(s))).into();
        assert_eq!(ages, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]);
        let shown: Vec<_> = [12, 4_210, 350_000, 999_600, 1_500_000, 42_000_000, 200_000_000, 7_500_000_000]
            .map(|micros| duration(Duration::from_micros(micros)))
            .into();
        assert_eq!(shown, ["12 µs", "4.2 ms", "350 ms", "1.0 s", "1.5 s", "42 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!(duration(Duration::from_hours(76)), "3 d 4 h");
        assert_eq!(duration(Duration::from_hours(1)), "1 h");
    }

    #[test]
    fn dollars_show_two_digits_that_count() {
        let shown: Vec<_> = [0.0, 1.374, 0.1, 0.000_42, 0.012, 250.0].map(dollars).into();
        assert_eq!(shown, ["$0", "$1.37", "$0.10", "$0.00042", "$0.012", "$250.00"]);
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}

//! Times as services write them.

/// A time in RFC 3339, in UTC, with all of its digits: texts of these are in the order of times.
pub(super) fn comparable(time: &str) -> String {
    let time = time.trim_end_matches('Z');
    let (second, part) = time.split_once('.').unwrap_or((time, ""));
    format!("{second}.{part:0<9}")
}

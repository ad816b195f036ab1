//! Tables for people: columns aligned, fitted to the width of the terminal.

use std::fmt::Write as _;

/// Lays out rows under a header: the first column to the left, the others (numbers) to the right. The first column is
/// cut, with `…`, as far as the whole needs to fit into `width` characters; it keeps at least four.
pub fn layout<const N: usize>(header: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let mut widths = header.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let others: usize = widths.iter().skip(1).map(|w| w + 2).sum();
    if let Some(first) = widths.first_mut() {
        *first = (*first).min(width.saturating_sub(others).max(4));
    }
    let mut out = String::new();
    let mut line = |cells: &[&str]| {
        let mut text = String::new();
        for (i, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            if i == 0 {
                text.push_str(&cut(cell, width));
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            } else if write!(text, "  {cell:>width$}").is_err() {
                return;
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&header);
    for row in rows {
        line(&row.each_ref().map(String::as_str));
    }
    out
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A number with its thousands apart: `1 234 567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_first_gives_way() {
        let rows =
            [["short".to_owned(), "1".to_owned()], ["a-very-long-name".to_owned(), "1 000".to_owned()]];
        assert_eq!(
            layout(["name", "lines"], &rows, 80),
            "name              lines\nshort                 1\na-very-long-name  1 000\n"
        );
        assert_eq!(
            layout(["name", "lines"], &rows, 15),
            "name      lines\nshort         1\na-very-…  1 000\n"
        );
        assert_eq!(layout(["name", "lines"], &rows, 0), "name  lines\nsho…      1\na-v…  1 000\n");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(thousands(number), expected);
        }
    }
}

//! Aligned columns.

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// One cell: its text and how it looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: printable(&text.into()), style: Style::new() }
    }

    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        let cell = Self::new(text);
        // Nothing has no looks, and a line ends before it.
        if cell.text.is_empty() { cell } else { Self { style, ..cell } }
    }
}

/// Rows of cells under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

const HEADING: Style = Style::new().bold();
const GAP: &str = "  ";

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<(&'static str, Align)>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row of one cell per column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push(cells);
    }

    /// The text, without spaces at line ends.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, (heading, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.text.width());
                cells.chain([heading.width()]).max().unwrap_or(0)
            })
            .collect();
        let heading: Vec<Cell> = self.columns.iter().map(|(text, _)| Cell::styled(*text, HEADING)).collect();
        let mut out = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, align)), width_of_column) in row.iter().zip(&self.columns).zip(&widths) {
                let pad = " ".repeat(width_of_column.saturating_sub(cell.text.width()));
                let style = cell.style;
                let text = format!("{style}{}{style:#}", cell.text);
                let cell = if *align == Align::Left { text + &pad } else { pad + &text };
                if !line.is_empty() {
                    line += GAP;
                }
                line += &cell;
            }
            out += line.trim_end_matches(' ');
            out += "\n";
        }
        out
    }
}

/// Without anything that moves the cursor: labels are whatever a program has called its job.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_ends() {
        let mut table = Table::new([("ID", Align::Left), ("DONE", Align::Right), ("LABEL", Align::Left)]);
        table.row([Cell::new("a"), Cell::new("1"), Cell::new("x")]);
        table.row([Cell::new("long one"), Cell::new("12,000"), Cell::new("")]);
        table.row([Cell::new("図表"), Cell::new(""), Cell::new("bell\u{7}")]);
        let plain = anstream::adapter::strip_str(&table.render()).to_string();
        let expected = "\
ID          DONE  LABEL
a              1  x
long one  12,000
図表              bell\u{fffd}
";
        assert_eq!(plain, expected);
    }
}

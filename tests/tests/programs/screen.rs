//! What a terminal shows after it was sent some bytes: as much of a terminal as progress bars use.

/// The lines of the screen, without trailing blanks and empty lines at the end.
pub(crate) fn screen(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                (row, column) = (row + 1, 0);
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['), "an escape sequence that is none in {text:?}");
                let mut number = String::new();
                let end = loop {
                    match chars.next().unwrap() {
                        c if c.is_ascii_digit() || c == ';' || c == '?' => number.push(c),
                        c => break c,
                    }
                };
                let count = number.parse().unwrap_or(1);
                match end {
                    'A' => row = row.saturating_sub(count),
                    'B' => row = (row + count).min(lines.len() - 1),
                    'G' => column = count - 1,
                    'C' => column += count,
                    'D' => column = column.saturating_sub(count),
                    'K' if number == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'J' => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    'm' | 'h' | 'l' => {}
                    other => panic!("what does {other:?} do in {text:?}"),
                }
            }
            c => {
                let line = &mut lines[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = c;
                column += 1;
            }
        }
    }
    let mut shown: Vec<String> =
        lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect();
    while shown.last().is_some_and(String::is_empty) {
        shown.pop();
    }
    shown
}

#[test]
fn a_line_that_is_erased_is_gone() {
    assert_eq!(screen(b"one\r\ntwo\r\x1b[2Kthree\x1b[1A\r\x1b[1mx\x1b[0m"), ["xne", "three"]);
    assert_eq!(screen(b"bar 50%\r\x1b[2K"), [""; 0]);
}

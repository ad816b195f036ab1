//! What people see of jobs while they run: a progress bar and what tasks write, both on stderr.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use rustwren_core::config::{ClientConfig, Logs, Progress as Show};
use rustwren_core::executor::{JobHandle, Watcher};
use rustwren_core::invoker::LogLine;

use crate::interrupt;

#[cfg(feature = "progress")]
mod bar;

/// What the configuration asks for. In a function process nothing but output: what it writes is the log of the
/// task that started the nested job.
#[expect(clippy::unnecessary_wraps, reason = "the signature of Parts::watcher")]
pub(crate) fn watcher(config: &ClientConfig) -> Option<Arc<dyn Watcher>> {
    let is_worker = rustwren_core::env::is_worker();
    let bars = match config.progress {
        Show::Always => !is_worker,
        Show::Never => false,
        Show::Auto => !is_worker && std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    Some(Arc::new(Terminal { bars, logs: config.logs == Logs::All, partial: Mutex::default() }))
}

/// Removes what is drawn on the terminal, for something final to be written there.
pub(crate) fn clear() {
    #[cfg(feature = "progress")]
    bar::clear();
}

struct Terminal {
    bars: bool,
    logs: bool,
    partial: Mutex<Option<Partial>>,
}

/// What a task has written of a line that is not complete yet: label, index, whether to stderr, and the bytes.
type Partial = (String, u64, bool, Vec<u8>);

impl Watcher for Terminal {
    fn started(&self, job: JobHandle) {
        interrupt::remember(job.clone());
        #[cfg(feature = "progress")]
        if self.bars {
            bar::show(job);
        }
        #[cfg(not(feature = "progress"))]
        drop((job, self.bars));
    }

    fn log(&self, label: &str, first: u64, line: &LogLine) {
        if !self.logs {
            return;
        }
        let mut text = Vec::new();
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = line.bytes.to_vec();
        if let Some((of, index, stderr, start)) = partial.take() {
            if (of.as_str(), index, stderr) == (label, first, line.stderr) {
                bytes.splice(0..0, start);
            } else {
                write_lines(&mut text, &of, index, 1, &start);
            }
        }
        let complete = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let rest = bytes.split_off(complete);
        if !rest.is_empty() {
            *partial = Some((label.to_owned(), first, line.stderr, rest));
        }
        drop(partial);
        write_lines(&mut text, label, first, line.count, &bytes);
        print(&text);
    }

    fn ending(&self, id: &str) {
        #[cfg(feature = "progress")]
        if self.bars {
            bar::end(id);
        }
        #[cfg(not(feature = "progress"))]
        let _no_bars = id;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let partial = self.partial.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((label, index, _, bytes)) = partial {
            let mut text = Vec::new();
            write_lines(&mut text, &label, index, 1, &bytes);
            print(&text);
        }
    }
}

/// Each line with its task in front: `[render 17] text`.
fn write_lines(text: &mut Vec<u8>, label: &str, first: u64, count: u32, bytes: &[u8]) {
    let tag = match count {
        0 | 1 => format!("[{label} {first}] "),
        _ => format!("[{label} {first}..{}] ", first + u64::from(count)),
    };
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        text.extend_from_slice(tag.as_bytes());
        text.extend_from_slice(line);
    }
    if text.last().is_some_and(|&b| b != b'\n') {
        text.push(b'\n');
    }
}

fn print(text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let write = || {
        if let Err(error) = std::io::stderr().lock().write_all(text) {
            // There is no other place to tell people that they cannot be told.
            tracing::debug!(%error, "task output could not be written to stderr");
        }
    };
    #[cfg(feature = "progress")]
    bar::suspended(write);
    #[cfg(not(feature = "progress"))]
    write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tagged_with_their_task() {
        let mut text = Vec::new();
        write_lines(&mut text, "render", 17, 1, b"one\ntwo");
        write_lines(&mut text, "render", 3, 4, b"x\n");
        assert_eq!(String::from_utf8_lossy(&text), "[render 17] one\n[render 17] two\n[render 3..7] x\n");
    }
}

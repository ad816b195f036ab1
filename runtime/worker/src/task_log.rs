//! What tasks print, for whoever collects what this program prints.

use std::io::Write as _;

use rustwren_core::invoker::{JobSpec, LogLine};

/// Prints it, with the job and the first element that may have printed it in front of each line.
pub(crate) fn print(job: &JobSpec, first: u64, line: &LogLine) {
    let mut text = Vec::with_capacity(line.bytes.len() + 32);
    for part in line.bytes.split_inclusive(|&byte| byte == b'\n') {
        text.extend_from_slice(format!("[{} {}] ", job.label, first + u64::from(line.offset)).as_bytes());
        text.extend_from_slice(part);
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    // Nobody could be told that it cannot be told.
    std::io::stdout().lock().write_all(&text).unwrap_or_default();
}

//! What tasks write to stdout and stderr. Both are files in memory, opened for appending and shared with the
//! supervisor: writing never blocks, and what was written survives this process.

use std::os::fd::OwnedFd;

use rustix::fs::FallocateFlags;

use super::outbox::Outbox;
use crate::raw::page::SharedPage;

/// How much of an element's output is passed on.
pub const MAX_OUTPUT: u64 = 1 << 20;
/// How much of an element's output a failure carries.
pub const MAX_TAIL: usize = 4 << 10;
/// How much is read at once.
const PIECE: usize = 64 << 10;
/// Memory of what has been read is given back in steps of this size, leaving the last bytes for failures.
const PUNCH: u64 = 256 << 10;

#[derive(Debug)]
struct Stream {
    file: Option<OwnedFd>,
    /// Up to where it has been read.
    read: u64,
    /// Where the output of the elements that are running begins.
    mark: u64,
    /// Up to where its memory was given back.
    punched: u64,
    /// Of the elements that are running.
    forwarded: u64,
    dropped: u64,
}

#[derive(Debug)]
pub(super) struct Capture {
    streams: [Stream; 2],
    buffer: Vec<u8>,
}

impl Capture {
    /// Takes over where the two standard streams stand now. A stream that is not a file is left alone.
    pub(super) fn new() -> Self {
        fn stream(fd: std::io::Result<OwnedFd>) -> Stream {
            let regular = |fd: &OwnedFd| {
                rustix::fs::fstat(fd).is_ok_and(|stat| {
                    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
                })
            };
            Stream { file: fd.ok().filter(regular), read: 0, mark: 0, punched: 0, forwarded: 0, dropped: 0 }
        }
        use std::os::fd::AsFd;
        Self {
            streams: [
                stream(std::io::stdout().as_fd().try_clone_to_owned()),
                stream(std::io::stderr().as_fd().try_clone_to_owned()),
            ],
            buffer: Vec::new(),
        }
    }

    /// Passes on what has been written since the last time, as written by `count` elements from `offset` on.
    /// `over`: these elements have ended, what comes next is by others.
    #[inline]
    pub(super) fn check(
        &mut self,
        outbox: &Outbox,
        page: &SharedPage,
        call: u64,
        tag: (u32, u32),
        over: bool,
    ) {
        for number in 0..2 {
            let stream = &self.streams[number];
            let Some(file) = &stream.file else { continue };
            let size = rustix::fs::fstat(file).map_or(0, |stat| stat.st_size as u64);
            // Smaller than before: the task has truncated it.
            let grown = size != stream.read;
            if grown {
                self.forward(number, size, outbox, page, call, tag);
            }
            if over {
                self.end(number, outbox, page, call, tag);
            }
        }
    }

    #[cold]
    fn forward(
        &mut self,
        number: usize,
        size: u64,
        outbox: &Outbox,
        page: &SharedPage,
        call: u64,
        tag: (u32, u32),
    ) {
        let stream = &mut self.streams[number];
        if size < stream.read {
            (stream.read, stream.mark, stream.punched) = (size, size, size);
        }
        let Some(file) = &stream.file else { return };
        self.buffer.resize(PIECE, 0);
        while stream.read < size && stream.forwarded < MAX_OUTPUT {
            let want = (size - stream.read).min(MAX_OUTPUT - stream.forwarded).min(PIECE as u64) as usize;
            match rustix::io::pread(file, &mut self.buffer[..want], stream.read) {
                Ok(0) => break,
                Ok(read) => {
                    outbox.log(page, call, tag, number == 1, &self.buffer[..read]);
                    stream.read += read as u64;
                    stream.forwarded += read as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        stream.dropped += size - stream.read;
        stream.read = size;
        let keep = size.saturating_sub(MAX_TAIL as u64);
        if keep.saturating_sub(stream.punched) >= PUNCH {
            let len = (keep - stream.punched) & !0xfff;
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if rustix::fs::fallocate(file, flags, stream.punched, len).is_ok() {
                stream.punched += len;
            } else {
                // It is not a file with holes: then its memory is not ours to give back either.
                stream.punched = u64::MAX;
            }
        }
        page.set_output(number, stream.mark, stream.read);
    }

    #[inline]
    fn end(&mut self, number: usize, outbox: &Outbox, page: &SharedPage, call: u64, tag: (u32, u32)) {
        let stream = &mut self.streams[number];
        if stream.dropped > 0 {
            let note = dropped_note(stream.dropped);
            outbox.log(page, call, tag, number == 1, note.as_bytes());
        }
        if stream.mark != stream.read {
            page.set_output(number, stream.read, stream.read);
        }
        (stream.mark, stream.forwarded, stream.dropped) = (stream.read, 0, 0);
    }

    /// The last bytes that the running elements wrote, stdout before stderr. Before [`Self::check`] says they are
    /// over. Of stderr, only what lies before `stderr_end`.
    pub(super) fn tail(
        &mut self,
        outbox: &Outbox,
        page: &SharedPage,
        call: u64,
        tag: (u32, u32),
        stderr_end: Option<u64>,
    ) -> String {
        self.check(outbox, page, call, tag, false);
        let [out, err] = &self.streams;
        let part = |stream: &Stream, end: u64| {
            let file = stream.file.as_ref()?;
            Some(read_tail(file, stream.mark, end.min(stream.read)))
        };
        let end = stderr_end.unwrap_or(u64::MAX);
        join_tails(&part(out, u64::MAX).unwrap_or_default(), &part(err, end).unwrap_or_default())
    }
}

/// The line that stands for output that was not passed on.
pub fn dropped_note(bytes: u64) -> String {
    format!("\n[rustwren: {bytes} more bytes of output dropped, one task's share is {MAX_OUTPUT}]\n")
}

/// The last [`MAX_TAIL`] bytes between two places of a file.
pub fn read_tail(file: &OwnedFd, from: u64, to: u64) -> Vec<u8> {
    let from = from.max(to.saturating_sub(MAX_TAIL as u64));
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    bytes.truncate(filled);
    bytes
}

/// One text of at most [`MAX_TAIL`] bytes from the ends of stdout and stderr. Both get a half if they need it.
pub fn join_tails(stdout: &[u8], stderr: &[u8]) -> String {
    // One byte is for a line end between them.
    let room = MAX_TAIL - 1;
    let err = stderr.len().min(room - stdout.len().min(room / 2));
    let out = stdout.len().min(room - err);
    let mut text = String::new();
    for bytes in [&stdout[stdout.len() - out..], &stderr[stderr.len() - err..]] {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        // Cut in the middle of a character, the first bytes are no character.
        let start = bytes.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        text.push_str(&String::from_utf8_lossy(&bytes[start..]));
    }
    // Replaced bytes grow.
    text.split_off(text.ceil_char_boundary(text.len().saturating_sub(MAX_TAIL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_share_the_room() {
        let (a, b) = (vec![b'a'; 10_000], vec![b'b'; 10_000]);
        let both = join_tails(&a, &b);
        assert!(
            both.len() <= MAX_TAIL && both.matches('a').count() >= 2000 && both.matches('b').count() >= 2000
        );
        assert_eq!(join_tails(b"x", &b), "b".repeat(MAX_TAIL).replacen("bb", "x\n", 1));
        assert_eq!(join_tails(b"out", b"err"), "out\nerr");
        assert_eq!(join_tails(b"", b""), "");
    }

    #[test]
    fn tails_are_text_whatever_was_written() {
        let text = join_tails("ä".repeat(3000).as_bytes(), &[0xff; 9000]);
        assert!(text.len() <= MAX_TAIL);
        assert!(text.ends_with('\u{fffd}'));
    }
}

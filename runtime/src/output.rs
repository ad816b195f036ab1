//! Frames on their way to a process.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::unix::WriteHalf;

/// Up to this size, inputs are copied behind their frame's head; larger ones are sent from where they lie.
const COPY: usize = 16 << 10;
/// How many parts one system call sends.
const PARTS: usize = 32;

/// What is to be sent, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    parts: VecDeque<Bytes>,
    /// Behind the parts.
    pub(crate) tail: Vec<u8>,
    /// How much of the tail has been sent; only while there are no parts.
    sent: usize,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.sent == self.tail.len()
    }

    /// Adds the bytes that belong to the frame whose head was written to the tail last.
    pub(crate) fn add(&mut self, rope: &[Bytes], len: usize) {
        if len <= COPY {
            for part in rope {
                self.tail.extend_from_slice(part);
            }
            return;
        }
        let mut tail = Bytes::from(std::mem::take(&mut self.tail));
        tail.advance(std::mem::take(&mut self.sent));
        self.parts.extend(
            std::iter::once(tail)
                .chain(rope.iter().cloned())
                .filter(|part| !part.is_empty()),
        );
    }

    /// Sends as much as the socket takes now.
    pub(crate) fn write(&mut self, socket: &WriteHalf<'_>) -> io::Result<()> {
        while !self.is_empty() {
            let written = if self.parts.is_empty() {
                socket.try_write(&self.tail[self.sent..])
            } else {
                let mut slices = [IoSlice::new(&[]); PARTS];
                let mut used = 0;
                let all = self
                    .parts
                    .iter()
                    .map(|part| &part[..])
                    .chain(std::iter::once(&self.tail[..]));
                for (slice, part) in slices.iter_mut().zip(all) {
                    *slice = IoSlice::new(part);
                    used += 1;
                }
                socket.try_write_vectored(&slices[..used])
            };
            match written {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(part) = self.parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                return;
            }
            written -= part.len();
            self.parts.pop_front();
        }
        self.sent += written;
        if self.sent >= self.tail.len() {
            self.tail.clear();
            self.sent = 0;
        }
    }
}

//! The envelope of everything that crosses the socket: `u32` length of the body, `u8` kind, body. All numbers
//! are little-endian.

use bytes::{Bytes, BytesMut};

use super::records::Malformed;

/// Bytes before the body.
pub const HEADER: usize = 5;
/// The longest body of frames that carry users' data.
pub const MAX_BODY: usize = 1 << 30;
/// The longest body of all other frames.
pub const MAX_SMALL_BODY: usize = 256 << 10;
/// How much room is made for bytes that have not arrived yet.
const ROOM: usize = 64 << 10;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: u8,
    /// The body.
    pub body: Bytes,
}

/// Cuts a stream of bytes into frames. Memory is only taken for bytes that have arrived, and `ROOM` more.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    buffer: BytesMut,
}

impl FrameBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffer to read more bytes into, behind those that are there.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < ROOM / 4 {
            // Grows by doubling, so that a large frame is not moved for every piece of it.
            self.buffer.reserve(ROOM.max(self.buffer.len()));
        }
        &mut self.buffer
    }

    /// Adds bytes that have arrived.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.room().extend_from_slice(bytes);
    }

    /// Whether no byte is waiting for the rest of its frame.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes what comes before the frames, once all of it has arrived.
    pub(super) fn take_first<const N: usize>(&mut self) -> Option<[u8; N]> {
        let first = *self.buffer.first_chunk()?;
        bytes::Buf::advance(&mut self.buffer, N);
        Some(first)
    }

    /// Takes the next whole frame. `limit` gives the longest body of a kind, or `None` for kinds that do not exist.
    pub fn next(&mut self, limit: impl Fn(u8) -> Option<usize>) -> Result<Option<Frame>, Malformed> {
        let Some((header, _)) = self.buffer.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, d, kind] = *header;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let limit = limit(kind).ok_or(Malformed("frame of unknown kind"))?;
        if len > limit {
            return Err(Malformed("frame is longer than its kind may be"));
        }
        if self.buffer.len() < HEADER + len {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(HEADER + len).freeze();
        let body = frame.split_off(HEADER);
        Ok(Some(Frame { kind, body }))
    }
}

/// Appends a frame whose body `write` appends.
#[inline]
pub(super) fn append_frame(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    append_frame_before(out, kind, 0, write);
}

/// Appends a frame but for the last `rest` bytes of its body, which the caller sends after it.
#[inline]
pub(super) fn append_frame_before(
    out: &mut Vec<u8>,
    kind: u8,
    rest: usize,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    write(out);
    let len = (out.len() - start - HEADER + rest) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}
